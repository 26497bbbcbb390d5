## Reduction over any axes; sums go through a partial sum per innermost run, which keeps long ones accurate.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
<%
    outer, inner = list(range(len(p.reduced)))[:-1], len(p.reduced) - 1
%>\
__kernel __attribute__((reqd_work_group_size(${p.grid.local}, 1, 1)))
void ${p.name}(${p.arguments})
{
${grid.loop(p.grid)}\
${grid.split(p.split_names, p.counts)}\
% if p.width > 1:
        const int ${p.axes[-1]} = step * ${p.width};
% endif
        ${"long" if p.is_index else p.type} sum = ${"0" if p.is_index else p.start};
% if p.is_index:
        ${p.type} best = 0;
        long position = 0;
% endif
% for axis in outer:
        for (int r${axis} = 0; r${axis} < ${p.reduced[axis]}; ++r${axis})
% endfor
        {
% if p.kind == "sum":
            for (int run = 0; run < ${p.reduced[inner]}; run += 64) {
                ${p.type} part = (${p.type})(0.0f);
                for (int r${inner} = run; r${inner} < min(run + 64, ${p.reduced[inner]}); ++r${inner}) {
                    const ${p.type} value = ${p.value};
                    ${p.combine[0]}
                }
                sum += part;
            }
% else:
            for (int r${inner} = 0; r${inner} < ${p.reduced[inner]}; ++r${inner}) {
                const ${p.type} value = ${p.value};
% for line in p.combine:
                ${line}
% endfor
            }
% endif
        }
% for line in p.finish:
        ${line}
% endfor
    }
}
