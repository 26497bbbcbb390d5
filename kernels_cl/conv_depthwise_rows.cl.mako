## Depthwise convolution of plain tensors: the rows under an item's windows are copied with borders, then multiplied.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
<%
    V, g = p.lanes, p.geometry
    slices, rows, span = p.band
    first, place, count = p.copied
    height, width = p.y.spec.shape[3:]
%>\
${grid.function(p, p.arguments)}\
{
    float band[${slices * rows * span}];
${grid.loop(p.grid)}\
${grid.split(("n", "channel", "od", "part"), p.counts)}\
        const int top = min(part * ${p.height}, ${height - p.height});
        for (int kd = 0; kd < ${slices}; ++kd)
        for (int row = 0; row < ${rows}; ++row) {
            const int i0 = od * ${g.stride[0]} + kd * ${g.dilation[0]} - (${g.before[0]});
            const int i1 = top * ${g.stride[1]} + row - (${g.before[1]});
            float *to = band + (kd * ${rows} + row) * ${span};
% if p.outside:
            if (${p.outside}) {
                for (int at = 0; at < ${span}; ++at)
                    to[at] = 0.0f;
                continue;
            }
% endif
            const int s0 = ${p.source(0, "i0")}, s1 = ${p.source(1, "i1")};
            __global const float *from = x + (${p.x.at(["n", "channel", "s0", "s1", "0"])});
% for begin, end in ((0, place), (place + count, span)):
% if begin < end:
            for (int at = ${begin}; at < ${end}; ++at)
                to[at] = ${p.border("at")};
% endif
% endfor
            for (int at = 0; at < ${count - count % V}; at += ${V})
                vstore${V}(vload${V}(0, from + ${first} + at), 0, to + ${place} + at);
% if count % V:
            for (int at = ${count - count % V}; at < ${count}; ++at)
                to[${place} + at] = from[${first} + at];
% endif
        }
% if p.multiplier > 1:
        for (int k = channel * ${p.multiplier}; k < (channel + 1) * ${p.multiplier}; ++k) {
% else:
        const int k = channel;
% endif
        __global const float *w = filter + k * ${g.taps};
        for (int group = 0; group < ${p.height}; group += ${p.rows})
        for (int next = 0; next < ${width}; next += ${V}) {
            const int row = min(group, ${p.height - p.rows}), ow = min(next, ${width - V});
            ${p.type} ${", ".join(f"sum{t} = ({p.type})(bias[k])" for t in range(p.rows))};
            for (int kd = 0; kd < ${slices}; ++kd) {
                const float *under = band + (kd * ${rows} + row * ${g.stride[1]}) * ${span} + ow * ${g.stride[2]};
                __global const float *taps = w + kd * ${g.size[1] * g.size[2]};
% for kw in range(g.size[2]):
                {
% for place in p.places:
                const ${p.type} x${place} = ${p.pixels(place, kw)};
% endfor
% for kh in range(g.size[1]):
                const ${p.type} w${kh} = (${p.type})(taps[${kh * g.size[2] + kw}]);
% for t in range(p.rows):
                sum${t} = fma(x${t * g.stride[1] + kh * g.dilation[1]}, w${kh}, sum${t});
% endfor
% endfor
                }
% endfor
            }
% for t in range(p.rows):
            {
                const int oh = top + row + ${t};
% for line in p.finish(t):
                ${line}
% endfor
            }
% endfor
        }
% if p.multiplier > 1:
        }
% endif
    }
}
