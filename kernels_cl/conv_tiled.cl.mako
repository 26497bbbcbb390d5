## Convolution as a matrix product of the filter with windows that are never stored, a tile per work-group.
<%namespace name="tiled" file="/_lib/tiled.cl.mako"/>\
${tiled.product(p)}\
