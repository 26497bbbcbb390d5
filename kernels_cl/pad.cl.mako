## Padding and cropping with any border.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
${grid.function(p, f"__global const {p.type} *restrict x, __global {p.type} *restrict y")}\
{
${grid.loop(p.grid)}\
${grid.split(p.axes, p.y)}\
% for axis in range(len(p.x)):
        const int i${axis} = ${p.source(axis)};
% endfor
        ${p.type} value = ${p.filling};
        if (${p.inside})
            value = x[${p.at}];
        y[item] = value;
    }
}
