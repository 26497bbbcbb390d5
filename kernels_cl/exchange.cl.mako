## Copy that changes the contiguous axis: square tiles are read in rows, transposed in registers, written in columns.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
${grid.function(p, f"__global const {p.element} *restrict x, __global {p.element} *restrict y")}\
{
${grid.loop(p.grid)}\
${grid.split(p.names, p.counts)}\
% for axis in p.tiled:
        const ${p.index(axis)} i${axis} = ${p.start(axis)};
% endfor
% for line in (*p.loads, *p.rounds, *p.stores):
        ${line}
% endfor
    }
}
