## Reduction by a work-group: each work-item takes every `lanes`-th element, a tree in local memory joins them.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
<%namespace name="team" file="/_lib/team.cl.mako"/>\
<%
    task, shape = p.task, p.team
    index = shape.index
%>\
__kernel __attribute__((reqd_work_group_size(${shape.local}, 1, 1)))
void ${p.name}(${p.arguments})
{
    __local ${task.type} totals[${shape.local}];
% if task.is_index:
    __local ${p.place_type} places[${shape.local}];
% endif
${team.places(shape, task.axes, task.kept)}\
% if shape.parts > 1:
    const ${index} begin = part * ${index_literal(shape.span, index)};
    const ${index} end = min(begin + ${shape.span}, ${index_literal(task.length, index)});
% else:
    const ${index} begin = 0, end = ${task.length};
% endif
    ${task.type} total = ${task.start};
% if task.is_index:
    ${p.place_type} place = ${p.nowhere};
% endif
% if p.run:
    for (${index} run = begin + lane; run < end; run += ${p.run}) {
        ${task.type} sum = 0.0f;
        for (${index} r = run; r < min(run + ${p.run}, end); r += ${shape.lanes}) {
${grid.split(task.reduced_axes, task.reduced, "r", 12)}\
            sum += ${task.value};
        }
        total += sum;
    }
% else:
    for (${index} r = begin + lane; r < end; r += ${shape.lanes}) {
${grid.split(task.reduced_axes, task.reduced, "r")}\
        const ${task.type} value = ${task.value};
% if task.is_index:
        const ${p.place_type} position = ${p.position};
        if (${task.ahead(("value", "position"), ("total", "place"))}) {
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
            if (${task.ahead(("totals[other]", "places[other]"), ("totals[me]", "places[me]"))}) {
                totals[me] = totals[other];
                places[me] = places[other];
            }
% else:
            ${task.combine("totals[me]", "totals[other]")}
% endif
</%team:tree>\
    if (${" && ".join(filter(None, ("lane == 0", shape.inside)))}) {
        total = totals[me];
% if task.is_index:
        place = places[me];
% endif
% for line in p.finish:
        ${line}
% endfor
    }
}
