## Multilinear up-sampling: the product of one-dimensional interpolations.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
${grid.function(p, p.arguments)}\
{
${grid.loop(p.grid)}\
${grid.split(p.axes, p.counts)}\
        ${p.type} sum = (${p.type})(0.0f);
% for axis in range(len(p.factor)):
% for line in p.coordinate(axis):
        ${line}
% endfor
% endfor
% for corner in p.corners:
        ${p.term(corner)}
% endfor
% for line in p.finish:
        ${line}
% endfor
    }
}
