## Padding and cropping with any border; vectors where a whole one lies inside.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
<%
    V, LAST = p.width, len(p.x) - 1
%>\
${grid.function(p, f"__global const {p.type} *restrict x, __global {p.type} *restrict y")}\
{
${grid.loop(p.grid)}\
${grid.split(p.axes, p.counts)}\
% for axis in range(LAST + 1 if V == 1 else LAST):
        const int i${axis} = ${p.source(axis)};
% endfor
% if V == 1:
        ${p.type} value = ${p.filling};
        if (${p.inside(range(LAST + 1))})
            value = x[${p.at(LAST + 1)}];
        y[item] = value;
% else:
        const int inside = ${p.inside(range(LAST))};
        const ${p.index} from = inside ? ${p.at(LAST)} : 0, to = ${p.to};
        const int first = step * ${V}, i = first - (${p.before[LAST]});
        if (inside && i >= 0 && i + ${V} <= ${p.x[LAST]} && first + ${V} <= ${p.y[LAST]}) {
            vstore${V}(vload${V}(0, x + from + i), 0, y + to + first);
            continue;
        }
        for (int o${LAST} = first; o${LAST} < min(first + ${V}, ${p.y[LAST]}); ++o${LAST}) {
            const int i${LAST} = ${p.source(LAST)};
            ${p.type} value = ${p.filling};
            if (inside && ${p.inside([LAST])})
                value = x[from + i${LAST}];
            y[to + o${LAST}] = value;
        }
% endif
    }
}
