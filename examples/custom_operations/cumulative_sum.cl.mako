## Running sums: one work-item adds up one line.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
__kernel __attribute__((reqd_work_group_size(${p.grid.local}, 1, 1)))
void ${p.name}(__global const float *restrict x, __global float *restrict y)
{
${grid.loop(p.grid)}\
        const long start = (long)(item / ${p.step}) * ${p.step * p.length} + item % ${p.step};
        float sum = 0.0f;
        for (int k = 0; k < ${p.length}; ++k) {
            sum += x[start + (long)k * ${p.step}];
            y[start + (long)k * ${p.step}] = sum;
        }
    }
}
