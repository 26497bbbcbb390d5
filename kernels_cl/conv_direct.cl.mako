## Direct convolution on a register tile: rolled loops over taps and channels, explicit accumulators.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
<%
    g, V = p.geometry, p.width
    _, C, D, H, W = p.x.spec.shape
%>\
${grid.function(p, p.arguments)}\
{
% if not p.direct:
    float patch[${p.patch_rows * p.patch_width * p.channels}];
% endif
${grid.loop(p.grid)}\
${grid.split(p.names, p.counts)}\
% if p.strips > 1:
        const int otile = strip * ${p.counts[-1]} + part;
% endif
        const int ow = min(otile * ${p.tile}, ${p.y.spec.shape[4] - p.tile});
        const int id0 = ${p.first(0, "od")}, ih0 = ${p.first(1, "oh")}, iw0 = ${p.first(2, "ow")};
% if p.all_channels:
        const int channel = 0;
${fill()}\
        for (int ktile = 0; ktile < ${p.channel_groups}; ++ktile) {
% endif
        const int block = ktile * ${p.blocks};
% if p.mixed:
        const int begin = ${p.bands.begin}, end = ${p.bands.end}, start = begin / ${p.channels};
% elif not p.all_channels:
        const int group = ktile / ${p.channel_groups // p.groups};
% endif
        __global const float *w = filter + ktile * ${p.steps * g.taps * p.channels * p.blocks * V};
% for b in range(p.blocks):
% for t in range(p.tile):
        float${V if V > 1 else ""} a${t}_${b} = ${f"vload{V}" if V > 1 else "*"}(${f"block + {b}, bias" if V > 1 else f"bias + block + {b}"});
% endfor
% endfor
% if p.mixed:
        for (int channel = start; channel * ${p.channels} < end; ++channel) {
            const int low = max(begin - channel * ${p.channels}, 0), high = min(end - channel * ${p.channels}, ${p.channels});
% else:
        for (int step = 0; step < ${p.steps}; ++step) {
% if not p.all_channels:
            const int channel = ${f"group * {p.steps} + step" if p.blocked else f"group * {p.in_channels} + step * {p.channels}"};
% endif
% endif
% if p.direct:
            __global const float *place = x + ${p.x.at(["n", "channel", "id0", "ih0", "iw0"])};
% elif not p.all_channels:
${fill()}\
% endif
            for (int kd = 0; kd < ${g.size[0]}; ++kd)
            for (int kh = 0; kh < ${g.size[1]}; ++kh)
            for (int kw = 0; kw < ${g.size[2]}; ++kw) {
% if p.direct:
                __global const float *s = place + kd * ${p.x.strides[2] * g.dilation[0]} + kh * ${p.x.strides[3] * g.dilation[1]} + kw * ${p.column_step};
% else:
                const float *s = patch + (kd * ${g.size[1]} + kh) * ${p.patch_width * (p.channels if p.blocked else 1)} + kw * ${p.column_step};
% endif
% if p.mixed:
                w += low * ${p.blocks * V};
                for (int c = low; c < high; ++c) {
% else:
                for (int c = 0; c < ${p.count}; ++c) {
% endif
% for b in range(p.blocks):
                    const float${V if V > 1 else ""} w${b} = ${f"vload{V}({b}, w)" if V > 1 else f"w[{b}]"};
% endfor
                    w += ${p.blocks * V};
% for t in range(p.tile):
                    const float s${t} = s[${t * p.pixel_step} + c * ${p.channel_step}];
% for b in range(p.blocks):
                    a${t}_${b} = fma((float${V if V > 1 else ""})(s${t}), w${b}, a${t}_${b});
% endfor
% endfor
                }
% if p.mixed:
                w += (${p.channels} - high) * ${p.blocks * V};
% elif p.rest:
                w += (${p.channels} - ${p.count}) * ${p.blocks * V};
% endif
            }
        }
% for line in p.finish:
        ${line}
% endfor
% if p.all_channels:
        }
% endif
    }
}
<%def name="fill()">\
            // Copy the input under the tile, borders resolved.
            for (int kd = 0; kd < ${p.geometry.size[0]}; ++kd)
            for (int kh = 0; kh < ${p.geometry.size[1]}; ++kh) {
                const int id = id0 + kd * ${p.geometry.dilation[0]}, ih = ih0 + kh * ${p.geometry.dilation[1]};
                const int row = kd * ${p.geometry.size[1]} + kh;
% if p.tested:
                const int inside = id >= 0 && id < ${p.x.spec.shape[2]} && ih >= 0 && ih < ${p.x.spec.shape[3]};
% endif
                const int sd = ${p.source(0, "id")}, sh = ${p.source(1, "ih")};
                // Where all columns lie inside, a row is copied without a look at each of them.
                const int whole = ${"inside && " if p.tested else ""}iw0 >= 0 && iw0 + ${p.reach} <= ${p.x.spec.shape[4]};
% if p.blocked:
                if (whole) {
                    for (int q = 0; q < ${p.patch_width}; ++q)
                        vstore${p.channels}(${p.x.load(["n", "channel", "sd", "sh", f"(iw0 + {p.column})"])}, row * ${p.patch_width} + q, patch);
                } else for (int q = 0; q < ${p.patch_width}; ++q) {
                    const int iw = iw0 + ${p.column}, sw = ${p.source(2, "iw")};
% if p.tested:
                    float${p.channels} value = (float${p.channels})(0.0f);
                    if (inside && iw >= 0 && iw < ${p.x.spec.shape[4]})
                        value = ${p.x.load(["n", "channel", "sd", "sh", "sw"])};
                    vstore${p.channels}(value, row * ${p.patch_width} + q, patch);
% else:
                    vstore${p.channels}(${p.x.load(["n", "channel", "sd", "sh", "sw"])}, row * ${p.patch_width} + q, patch);
% endif
                }
% else:
                for (int c = 0; c < ${p.channels}; ++c) {
                    float *to = patch + (c * ${p.patch_rows} + row) * ${p.patch_width};
                    __global const float *from = x + ${p.x.at(["n", "(channel + c)", "sd", "sh", "0"])} + iw0;
                    if (whole) {
% if p.gaps:
                        for (int q = 0; q < ${p.patch_width}; ++q)
                            to[q] = from[${p.column}];
% else:
% for at, lanes in p.copied:
                        ${f"vstore{lanes}(vload{lanes}(0, from + {at}), 0, to + {at});" if lanes > 1 else f"to[{at}] = from[{at}];"}
% endfor
% endif
                    } else {
% if p.tested and p.gaps:
                        for (int q = 0; q < ${p.patch_width}; ++q) {
                            const int iw = iw0 + ${p.column};
                            to[q] = inside && iw >= 0 && iw < ${p.x.spec.shape[4]} ? from[iw - iw0] : 0.0f;
                        }
% elif p.tested:
% for at, lanes in p.copied:
                        ${f"vstore{lanes}((float{lanes})(0.0f), 0, to + {at});" if lanes > 1 else f"to[{at}] = 0.0f;"}
% endfor
                        for (int q = max(0, -iw0); inside && q < min(${p.patch_width}, ${p.x.spec.shape[4]} - iw0); ++q)
                            to[q] = from[q];
% else:
                        for (int q = 0; q < ${p.patch_width}; ++q) {
                            const int iw = iw0 + ${p.column}, sw = ${p.source(2, "iw")};
                            to[q] = ${p.x.load(["n", "(channel + c)", "sd", "sh", "sw"])};
                        }
% endif
                    }
                }
% endif
            }
</%def>
