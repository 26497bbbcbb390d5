## Copy of two or three rows whose elements lie between each other on one side: vectors are made of others' lanes.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
${grid.function(p, f"__global const {p.element} *restrict x, __global {p.element} *restrict y")}\
{
${grid.loop(p.grid)}\
${grid.split(p.names, p.counts)}\
        const ${p.index} i${p.along} = ${p.start};
% for line in p.lines:
        ${line}
% endfor
    }
}
