## Reduction over any axes; sums go through a partial sum per innermost run, which keeps long ones accurate.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
<%
    task = p.task
    outer, inner = list(range(len(task.reduced)))[:-1], len(task.reduced) - 1
    last = task.reduced[inner]
%>\
${grid.function(p, p.arguments)}\
{
${grid.loop(p.grid)}\
${grid.split(task.split_names, task.counts)}\
% if task.kept:
${grid.lanes(task.axes[-1], task.kept[-1], task.width)}\
% endif
        ${task.type} total = ${task.start};
% if task.is_index:
        long place = 0, position = 0;
% endif
% for axis in outer:
        for (${p.index(axis)} r${axis} = 0; r${axis} < ${task.reduced[axis]}; ++r${axis})
% endfor
        {
% if task.kind == "sum":
            for (${p.index(inner)} run = 0; run < ${last}; run += ${p.run}) {
                ${task.type} part = (${task.type})(0.0f);
                for (${p.index(inner)} r${inner} = run; r${inner} < min(run + ${p.run}, ${last}); ++r${inner}) {
                    part += ${task.value};
                }
                total += part;
            }
% else:
            for (${p.index(inner)} r${inner} = 0; r${inner} < ${last}; ++r${inner}) {
                const ${task.type} value = ${task.value};
% if task.is_index:
                if (${task.better("value", "total")}) { total = value; place = position; }
                ++position;
% else:
                ${task.combine("total", "value")}
% endif
            }
% endif
        }
% for line in task.finish("place" if task.is_index else "total"):
        ${line}
% endfor
    }
}
