## Reduction by a work-group: each work-item takes every `lanes`-th element, a tree in local memory joins them.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
<%namespace name="team" file="/_lib/team.cl.mako"/>\
<%
    task, shape = p.task, p.team
    step = f"r += {shape.lanes}"
%>\
__kernel __attribute__((reqd_work_group_size(${shape.local}, 1, 1)))
void ${p.name}(${p.arguments})
{
    __local ${task.type} totals[${shape.local}];
% if task.is_index:
    __local ${p.place_type} places[${shape.local}];
% endif
${team.places(shape, task.axes, task.kept)}\
        ${task.type} total = ${task.start};
% if task.is_index:
        ${p.place_type} place = ${p.nowhere};
% endif
% if shape.parts > 1:
        const ${shape.index} begin = part * (${shape.index})${shape.span};
        const ${shape.index} end = min(begin + ${shape.span}, (${shape.index})${task.length});
% else:
        const ${shape.index} begin = 0, end = ${task.length};
% endif
% if task.kind == "sum" and p.run:
        for (${shape.index} run = begin + lane; run < end; run += ${p.run}) {
            float sum = 0.0f;
            for (${shape.index} r = run; r < min(run + ${p.run}, end); ${step}) {
${element()}\
                sum += value;
            }
            total += sum;
        }
% else:
        for (${shape.index} r = begin + lane; r < end; ${step}) {
${element()}\
% if task.is_index:
                const ${p.place_type} position = ${p.position};
                if (${task.better("value", "total")} || (position < place && ${task.tied("value", "total")})) {
                    total = value;
                    place = position;
                }
% else:
                ${task.combine("total", "value")}
% endif
        }
% endif
        totals[me] = total;
% if task.is_index:
        places[me] = place;
% endif
<%team:tree team="${shape}">\
% if task.is_index:
if (${task.better("totals[other]", "totals[me]")} || (places[other] < places[me] && ${task.tied("totals[other]", "totals[me]")})) {
                    totals[me] = totals[other];
                    places[me] = places[other];
                }
% else:
${task.combine("totals[me]", "totals[other]")}
% endif
</%team:tree>\
        if (lane == 0 && number < ${shape.count}) {
            total = totals[me];
% if task.is_index:
            place = places[me];
% endif
% for line in p.finish:
            ${line}
% endfor
        }
    }
}
<%def name="element()">\
${grid.split(p.task.reduced_axes, p.task.reduced, "r")}\
        const ${p.task.type} value = ${p.task.value};
</%def>
