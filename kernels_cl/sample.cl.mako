## The element of each window that an index tensor says.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
${grid.function(p, p.arguments)}\
{
${grid.loop(p.grid)}\
${grid.split(p.axes, p.counts)}\
% if p.windowed:
        long place = clamp(${p.places.load(p.axes)}, 0L, ${p.geometry.taps - 1}L);
% endif
% for line in p.coordinates:
        ${line}
% endfor
% for axis in p.windowed:
% for line in p.tap(axis):
        ${line}
% endfor
% endfor
        y[item] = ${p.element};
    }
}
