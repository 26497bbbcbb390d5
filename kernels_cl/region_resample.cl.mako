## Regions brought to one size by multilinear interpolation.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
${grid.function(p, p.arguments)}\
{
${grid.loop(p.grid)}\
${grid.split(p.axes, p.y.spec.shape)}\
        const int b = ${p.batch};
% for axis in p.spatial:
% for line in p.corner(axis) + p.neighbours(axis):
        ${line}
% endfor
% endfor
        float sum = 0.0f;
% for corner in p.corners:
        ${p.term(corner)}
% endfor
        y[item] = sum;
    }
}
