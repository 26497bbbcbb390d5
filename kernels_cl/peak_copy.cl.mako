## Ceiling of memory: one buffer into another, a vector at a time.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
${grid.function(p, "__global const float *restrict x, __global float *restrict y")}\
{
${grid.loop(p.grid)}\
        vstore${p.width}(vload${p.width}(item, x), item, y);
    }
}
