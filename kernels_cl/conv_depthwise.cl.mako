## Depthwise convolution (and groups of a few channels) on vectors of channels, a row of pixels per work-item.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
<%
    g = p.geometry
%>\
__kernel __attribute__((reqd_work_group_size(${p.grid.local}, 1, 1)))
void ${p.name}(${p.arguments})
{
${grid.loop(p.grid)}\
${grid.split(("n", "block", "od", "oh", "otile"), p.counts)}\
        const int ow = min(otile * ${p.tile}, ${p.y.spec.shape[4] - p.tile});
        const int id0 = ${p.first(0, "od")}, ih0 = ${p.first(1, "oh")}, iw0 = ${p.first(2, "ow")};
        __global const float *w = filter + block * ${g.taps * p.per_group * p.width};
% for t in range(p.tile):
        ${p.type} a${t} = ${f"vload{p.width}(block, bias)" if p.width > 1 else "bias[block]"};
% endfor
        for (int kd = 0; kd < ${g.size[0]}; ++kd)
        for (int kh = 0; kh < ${g.size[1]}; ++kh, w += ${g.size[2] * p.per_group * p.width}) {
            const int id = id0 + kd * ${g.dilation[0]}, ih = ih0 + kh * ${g.dilation[1]};
% if p.tested:
            if (id < 0 || id >= ${p.x.spec.shape[2]} || ih < 0 || ih >= ${p.x.spec.shape[3]})
                continue;
% endif
            const int sd = ${p.source(0, "id")}, sh = ${p.source(1, "ih")};
% for k in range(g.size[2]):
% for lane in range(p.per_group):
            const ${p.type} w${k}_${lane} = ${p.load_filter(k, lane)};
% endfor
% endfor
% for q in p.columns:
            {
                const int iw = iw0 + ${q}, sw = ${p.source(2, "iw")};
% if p.tested:
                ${p.type} value = (${p.type})(0.0f);
                if (iw >= 0 && iw < ${p.x.spec.shape[4]})
                    value = ${p.x.load(["n", "block", "sd", "sh", "sw"])};
% else:
                const ${p.type} value = ${p.x.load(["n", "block", "sd", "sh", "sw"])};
% endif
% for lane in range(p.per_group):
% for t, k in p.uses(q):
                a${t} = fma(${p.shuffled("value", lane)}, w${k}_${lane}, a${t});
% endfor
% endfor
            }
% endfor
        }
% for line in p.finish:
        ${line}
% endfor
    }
}
