## Reduction over any axes; sums go through a partial sum per innermost run, which keeps long ones accurate.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
<%
    task, vector, W = p.task, p.vector, p.along
    inner = len(task.reduced) - 1
%>\
${grid.function(p, p.arguments)}\
{
${grid.loop(p.grid)}\
${grid.split(task.split_names, task.counts)}\
% if task.kept:
${grid.lanes(task.axes[-1], task.kept[-1], task.width)}\
% endif
        ${vector.type} total = ${vector.start};
% if task.is_index:
        ${p.place_type} place = 0, position = 0;
% endif
% for axis in range(inner):
        for (${p.index(axis)} r${axis} = ${p.first(axis)}; r${axis} < ${p.end(axis)}; ++r${axis})
% endfor
        {
% if task.kind == "sum":
            for (${p.index(inner)} run = ${p.first(inner)}; run < ${p.end(inner)}; run += ${p.run}) {
                ${vector.type} part = ${vector.start};
                for (${p.index(inner)} r${inner} = run; r${inner} < min(run + ${p.run}, ${p.end(inner)}); r${inner} += ${W}) {
                    part += ${vector.value};
                }
                total += part;
            }
% else:
            for (${p.index(inner)} r${inner} = ${p.first(inner)}; r${inner} < ${p.end(inner)}; r${inner} += ${W}) {
                const ${vector.type} value = ${vector.value};
% if task.is_index and task.width > 1:
                const int${task.width} better = ${task.better("value", "total")};
                total = select(total, value, better);
                place = select(place, position, better);
                ++position;
% elif task.is_index:
                if (${task.better("value", "total")}) { total = value; place = position; }
                ++position;
% else:
                ${vector.combine("total", "value")}
% endif
            }
% endif
% if p.rest:
            ${p.if_last}{  // the rest, in the last lanes of a vector that begins among elements taken already
                const ${p.index(inner)} r${inner} = ${p.rest_start};
                const ${vector.type} value = select(${vector.start}, ${vector.value}, LANES${W} >= ${W - p.rest});
                ${vector.combine("total", "value")}
            }
% endif
        }
% for line in p.finish:
        ${line}
% endfor
    }
}
