## Chain: workers take the work-groups of many kernels, stage by stage.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) __attribute__((vec_type_hint(float16)))
void ${p.name}(${p.arguments}, volatile __global int *counters)
{
    const int me = get_group_id(0) % ${p.shares};
% for number, stage in enumerate(p.stages):
% for other in stage.waits:
    chain_wait(${p.finished(other)}, ${p.stages[other].groups});
% endfor
    {
        int done = 0;
        for (int k = 0; k < ${p.shares}; ++k) {
            const int share = (me + k) % ${p.shares};
            const int begin = (long)share * ${stage.groups} / ${p.shares}, end = (share + 1l) * ${stage.groups} / ${p.shares};
            int next;
            while ((next = begin + chain_take(counters + ${number * p.stage_counters} + share * ${p.line}, ${p.piece(stage)}, end - begin)) < end) {
                const int stop = min(next + ${p.piece(stage)}, end);
                done += stop - next;
                for (; next < stop; ++next)
                    ${p.call(stage)};
            }
        }
        chain_finish(${p.finished(number)}, done);
    }
% endfor
    if (atomic_inc(counters + ${len(p.stages) * p.stage_counters}) == ${p.workers - 1})
        for (int k = 0; k <= ${len(p.stages) * p.stage_counters}; ++k)
            counters[k] = 0;
}
