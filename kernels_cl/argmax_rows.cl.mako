## Where in each window the maximum lies, by rows: first of each column under the windows, then along the row.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
<%
    V, W, last, g = p.lanes, p.results, p.last, p.geometry
    N = "" if W == 1 else str(W)
%>\
${grid.function(p, p.arguments)}\
{
    float row[${p.room}];  // largest of each column
    int numbers[${p.room}];  // in which row of taps that is, -1 where the column has no element
    ${p.index_type} starts[${p.taps}];
    int taps[${p.taps}];
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
% for line in p.note:
            ${line}
% endfor
% if p.across:
        ${"}" * len(p.across)}
% endif
% if p.reaches_outside:
        const int left = clamp(-low, 0, ${p.span}), right = clamp(${p.x.spec.shape[-1]} - low, 0, ${p.span});
% for begin, end in (("0", "left"), ("right", p.span)):
        for (int at = ${begin}; at < ${end}; ++at) {
% if p.mapped:
${column(1, f"x[starts[k] + {p.mapped}]")}\
% else:
            row[at] = ${"0.0f" if g.border == "constant" else "-INFINITY"};
            numbers[at] = ${"0" if g.border == "constant" else "-1"};
% endif
        }
% endfor
% else:
        const int left = 0, right = ${p.span};
% endif
        if (right - left >= ${V}) {
            for (int next = left; next < right; next += ${V}) {
                const int at = min(next, right - ${V});
${column(V, f"vload{V}(0, x + (starts[k] + low + at))")}\
            }
        } else {
            for (int at = left; at < right; ++at) {
${column(1, "x[starts[k] + low + at]")}\
            }
        }
        for (int next = 0; next < ${p.segment}; next += ${W}) {
            const int at = min(next, ${p.segment - W}), o${last} = first + at;
            float${N} largest = (float${N})(-INFINITY);
            int${N} place = (int${N})(-1);
            for (int k = 0; k < ${g.size[last]}; ++k) {
                const int begin = at * ${g.stride[last]} + k * ${g.dilation[last]};
                float${N} value;
                int${N} number;
                { __private const float *from = row + begin; value = ${p.strided("float")}; }
                { __private const int *from = numbers + begin; number = ${p.strided("int")}; }
                const int${N} position = number * ${g.size[last]} + k;
                const int${N} tied = value == largest || (value != value && largest != largest);
                const int${N} ahead = value > largest || (value != value && largest == largest) || (tied && position < place);
                const int${N} better = number >= 0 && (place < 0 || ahead);
                largest = ${p.choose(W, "largest", "value")};
                place = ${p.choose(W, "place", "position")};
            }
% for line in p.stores:
            ${line}
% endfor
        }
    }
}
<%def name="column(width, value)">\
<%
    M = "" if width == 1 else str(width)
%>\
                float${M} largest = (float${M})(-INFINITY);
                int${M} number = (int${M})(-1);
                for (int k = 0; k < rows; ++k) {
                    const float${M} value = ${p.zero_if_outside(width)}${value};
                    const int${M} better = number < 0 || value > largest || (value != value && largest == largest);
                    largest = ${p.choose(width, "largest", "value")};
                    number = ${p.choose(width, "number", f"(int{M})(taps[k])")};
                }
% if width == 1:
                row[at] = largest;
                numbers[at] = number;
% else:
                vstore${width}(largest, 0, row + at);
                vstore${width}(number, 0, numbers + at);
% endif
</%def>
