## Copy that changes the contiguous axis: square tiles are read in rows, transposed in registers, written in columns.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
__kernel __attribute__((reqd_work_group_size(${p.grid.local}, 1, 1)))
void ${p.name}(__global const ${p.element} *restrict x, __global ${p.element} *restrict y)
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
