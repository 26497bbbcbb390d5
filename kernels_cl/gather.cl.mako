## Rows of one axis picked by an index tensor; indices never reach outside.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
${grid.function(p, f"__global const {p.type} *restrict x, __global const long *restrict indices, __global {p.type} *restrict y")}\
{
${grid.loop(p.grid)}\
${grid.split(p.names, p.counts)}\
${grid.lanes("inner", p.inner, p.width)}\
        const ${p.index} index = (${p.index})clamp(indices[k], 0L, ${p.extent - 1}L);
        ${p.move}
    }
}
