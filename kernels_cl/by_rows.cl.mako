## By rows: one row of a batch after another through many kernels.
% if stage:
__attribute__((noinline))
void ${p.stage_name}(${p.arguments}, const int row)
{
    __global char *own = ${p.own};
${stages()}\
}
% else:
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void ${p.name}(${p.arguments})
{
    __global char *own = ${p.own};
    for (int row = get_group_id(0); row < ${p.rows}; row += ${p.workers}) {
${stages()}\
    }
}
% endif
<%def name="stages()">\
% for stage in p.stages:
% if stage.groups == 1:
        {
            const int group = 0;
            ${p.call(stage)};
        }
% else:
        for (int group = 0; group < ${stage.groups}; ++group)
            ${p.call(stage)};
% endif
% endfor
</%def>
