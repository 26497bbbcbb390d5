## What all windows that cover a row put there: added up in private memory, window by window.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
<%
    last, W = p.last, p.lanes
%>\
${grid.function(p, p.arguments)}\
{
    float row[${p.length}];
${grid.loop(p.grid)}\
${grid.split(p.axes[:-1], p.counts[:-1])}\
        for (int at = 0; at < ${p.length}; ++at)
            row[at] = 0.0f;
% for axis in p.across:
        ${p.loop(axis)} {
% for line in p.tap(axis):
            ${line}
% endfor
% endfor
            const ${p.index_type} start = ${p.start};
            for (int t = ${p.windows_met[0]}; t < ${p.windows_met[1]}; ++t) {
                const float value = ${p.x.name}[start + ${p.source}];
% if p.places:
                // Additions of nothing, at some place of the row, instead of branches that nobody can foretell.
                const long place = ${p.places.name}[start + t] - ${p.first_place};
                const int k = (int)clamp(place, 0l, ${p.geometry.size[last] - 1}l);
                const int at = t * ${p.geometry.stride[last]} - (${p.geometry.before[last]}) + k * ${p.geometry.dilation[last]};
                const int to = clamp(at, 0, ${p.length - 1});
                row[to] += place == k && at == to ? value : 0.0f;
% else:
                for (int k = 0; k < ${p.geometry.size[last]}; ++k) {
                    const int at = t * ${p.geometry.stride[last]} - (${p.geometry.before[last]}) + k * ${p.geometry.dilation[last]};
                    if (at >= 0 && at < ${p.length})
                        row[at] += value;
                }
% endif
            }
% if p.across:
        ${"}" * len(p.across)}
% endif
        for (int next = 0; next < ${p.length}; next += ${W}) {
            const int o${last} = min(next, ${p.length - W});
            float${W} sum = vload${W}(0, row + o${last});
% for line in p.finish:
            ${line}
% endfor
        }
    }
}
