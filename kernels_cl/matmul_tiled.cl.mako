## Matrix product, a tile per work-group.
<%namespace name="tiled" file="/_lib/tiled.cl.mako"/>\
${tiled.product(p)}\
