## Convolution of few plain channels: the rows under an item's windows are copied with borders, then multiplied.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
<%
    V, K, g = p.lanes, p.channels, p.geometry
    slices, rows, _ = p.band
    height, width = p.y.spec.shape[3:]
    taps = p.in_channels * g.taps
%>\
${grid.function(p, p.arguments)}\
{
    float band[${p.in_channels * slices * rows * p.line}];
${grid.loop(p.grid)}\
${grid.split(("n", "group", "od", "part"), p.counts)}\
        const int top = min(part * ${p.height}, ${height - p.height});
        for (int c = 0; c < ${p.in_channels}; ++c)
        for (int kd = 0; kd < ${slices}; ++kd)
        for (int row = 0; row < ${rows}; ++row) {
            const int i0 = od * ${g.stride[0]} + kd * ${g.dilation[0]} - (${g.before[0]});
            const int i1 = top * ${g.stride[1]} + row - (${g.before[1]});
            float *to = band + ((c * ${slices} + kd) * ${rows} + row) * ${p.line};
% if p.outside:
            if (${p.outside}) {
                for (int at = 0; at < ${p.line}; ++at)
                    to[at] = 0.0f;
                continue;
            }
% endif
            const int s0 = ${p.source(0, "i0")}, s1 = ${p.source(1, "i1")};
            __global const float *from = x + (${p.x.at(["n", f"(group * {p.in_channels} + c)", "s0", "s1", "0"])});
% for number, (count, begin, end, first) in enumerate(p.parts):
% for low, high in ((0, begin), (end, count)):
% if low < high:
            for (int at = ${low}; at < ${high}; ++at)
                to[${number * p.part} + at] = ${p.border(f"({first} + at * {g.stride[2]})")};
% endif
% endfor
            for (int at = ${begin}; at < ${end - (end - begin) % V}; at += ${V})
                vstore${V}(${p.vector(f"({first}) + at * {g.stride[2]}")}, 0, to + ${number * p.part} + at);
% if (end - begin) % V:
            for (int at = ${end - (end - begin) % V}; at < ${end}; ++at)
                to[${number * p.part} + at] = from[${first} + at * ${g.stride[2]}];
% endif
% endfor
        }
% if p.results > K:
        for (int tile = 0; tile < ${p.results}; tile += ${K}) {
        const int k = group * ${p.results} + min(tile, ${p.results - K});
% else:
        const int k = group * ${p.results};
% endif
        for (int next = 0; next < ${p.height}; next += ${p.rows})
        for (int left = 0; left < ${width}; left += ${V}) {
            const int row = min(next, ${p.height - p.rows}), ow = min(left, ${width - V});
            __global const float *w = filter + k * ${taps};
% for t in range(K):
            ${p.type} ${", ".join(f"sum{t}_{r} = ({p.type})(bias[k + {t}])" for r in range(p.rows))};
% endfor
            for (int slice = 0; slice < ${p.in_channels * slices}; ++slice, w += ${g.size[1] * g.size[2]}) {
                const float *under = band + (slice * ${rows} + row * ${g.stride[1]}) * ${p.line} + ow;
% for kw in range(g.size[2]):
                {
% for place in p.places:
                const ${p.type} x${place} = ${p.pixels(place, kw)};
% endfor
% for kh in range(g.size[1]):
% for t in range(K):
                const ${p.type} w${kh}_${t} = (${p.type})(w[${t * taps + kh * g.size[2] + kw}]);
% for r in range(p.rows):
                sum${t}_${r} = fma(x${r * g.stride[1] + kh * g.dilation[1]}, w${kh}_${t}, sum${t}_${r});
% endfor
% endfor
% endfor
                }
% endfor
            }
            const int oh = top + row;
% for t in range(K):
% for r in range(p.rows):
            {
% for line in p.finish(t, r):
                ${line}
% endfor
            }
% endfor
% endfor
        }
% if p.results > K:
        }
% endif
    }
}
