## Raises a flag where an index is out of range; work-items that find one write the same value.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
${grid.function(p, "__global const long *restrict indices, __global int *restrict flag")}\
{
${grid.loop(p.grid)}\
        if (indices[item] < 0 || indices[item] >= ${p.limit}L)
            flag[0] = 1;
    }
}
