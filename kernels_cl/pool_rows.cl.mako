## Sliding-window sum or maximum by rows: the rows under the windows become one, over which windows slide then.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
<%
    V, W, last, g = p.lanes, p.results, p.last, p.geometry
%>\
${grid.function(p, p.arguments)}\
{
    float row[${p.room}];
    ${p.index_type} starts[${p.taps}];
${grid.loop(p.grid)}\
${grid.split(p.names, p.row_counts)}\
        const int first = min(part * ${p.segment}, ${p.y.spec.shape[-1] - p.segment});
        const int low = first * ${g.stride[last]} - (${g.before[last]});
        int rows = 0;
% for axis in p.across:
        for (int k${axis} = 0; k${axis} < ${g.size[axis]}; ++k${axis}) {
% for line in p.tap(axis):
            ${line}
% endfor
% endfor
            ${p.note}
% if p.across:
        ${"}" * len(p.across)}
% endif
        const float start = ${p.first_value};
% if p.reaches_outside:
        const int left = clamp(-low, 0, ${p.span}), right = clamp(${p.x.spec.shape[-1]} - low, 0, ${p.span});
% for begin, end in (("0", "left"), ("right", p.span)):
        for (int at = ${begin}; at < ${end}; ++at) {
            float sum = ${p.outside_value};
% if p.mapped:
            for (int k = 0; k < rows; ++k)
                ${p.combine(f"x[starts[k] + {p.mapped}]", 1)}
% endif
            row[at] = sum;
        }
% endfor
% else:
        const int left = 0, right = ${p.span};
% endif
        if (right - left >= ${V}) {
            for (int next = left; next < right; next += ${V}) {
                const int at = min(next, right - ${V});
                float${V} sum = (float${V})(start);
                for (int k = 0; k < rows; ++k)
                    ${p.combine(f"vload{V}(0, x + (starts[k] + low + at))", V)}
                vstore${V}(sum, 0, row + at);
            }
        } else {
            for (int at = left; at < right; ++at) {
                float sum = start;
                for (int k = 0; k < rows; ++k)
                    ${p.combine("x[starts[k] + low + at]", 1)}
                row[at] = sum;
            }
        }
        for (int next = 0; next < ${p.segment}; next += ${W}) {
            const int at = min(next, ${p.segment - W}), o${last} = first + at;
            ${p.type} sum = (${p.type})(${p.initial});
% if p.counted_along:
            ${p.count_type} taps = 0;
% endif
            for (int k = 0; k < ${g.size[last]}; ++k) {
                __private const float *from = row + at * ${g.stride[last]} + k * ${g.dilation[last]};
                ${p.combine(p.strided("float"), W)}
% if p.counted_along:
                ${p.count_tap}
% endif
            }
% for line in p.finish:
            ${line}
% endfor
        }
    }
}
