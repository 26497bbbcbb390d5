## Convolution with few results: vectors of input channels times vectors of weights, whose lanes are added at the end.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
<%
    V, T, K, B = p.width, p.tile, p.results, p.in_blocks
    g = p.geometry
    W = p.x.spec.shape[4]
    OW = p.y.spec.shape[4]
    step = K * V
%>\
${grid.function(p, p.arguments)}\
{
${grid.loop(p.grid)}\
${grid.split(("n", "od", "oh", "group"), p.counts)}\
        const int ow = min(group * ${T}, ${OW - T}), left = ${p.coordinate(2, "ow", "0")};
        const int inside = left >= 0 && left + ${(g.size[2] - 1) * g.dilation[2] + (T - 1) * g.stride[2]} < ${W};
% for k in range(K):
        ${p.type} ${", ".join(f"a{k}_{t} = ({p.type})(0.0f)" for t in range(T))};
% endfor
        __global const float *w = filter;
% for axis, name in enumerate("dh"):
        for (int t${name} = 0; t${name} < ${g.size[axis]}; ++t${name}) {
        const int i${name} = ${p.coordinate(axis, f"o{name}", f"t{name}")};
% if p.outside(axis, f"i{name}"):
        if (${p.outside(axis, f"i{name}")}) {
            w += ${math.prod(g.size[axis + 1:]) * B * step};
            continue;
        }
% endif
        const int s${name} = ${p.source(axis, f"i{name}")};
% endfor
        if (inside) {
            for (int tw = 0; tw < ${g.size[2]}; ++tw) {
                const int iw = ${p.coordinate(2, "ow", "tw")};
                for (int block = 0; block < ${B}; ++block, w += ${step}) {
${weights()}\
% for t in range(T):
                    const ${p.type} x${t} = ${p.x.load(["n", "block", "sd", "sh", f"(iw + {t * g.stride[2]})"])};
${add(t)}\
% endfor
                }
            }
        } else {
            for (int tw = 0; tw < ${g.size[2]}; ++tw) {
                const int iw = ${p.coordinate(2, "ow", "tw")};
                for (int block = 0; block < ${B}; ++block, w += ${step}) {
${weights()}\
% for t in range(T):
                    const int c${t} = iw + ${t * g.stride[2]}, s${t} = ${p.source(2, f"c{t}")};
                    ${p.type} x${t} = ${p.x.load(["n", "block", "sd", "sh", f"s{t}"])};
% if p.outside(2, f"c{t}"):
                    if (${p.outside(2, f"c{t}")})
                        x${t} = (${p.type})(0.0f);
% endif
${add(t)}\
% endfor
                }
            }
        }
        }
        }
% for k in range(K):
% for t in range(T):
        {
% for line in (*p.halves(f"a{k}_{t}"), *p.finish(k, t)):
            ${line}
% endfor
        }
% endfor
% endfor
    }
}
<%def name="weights()">\
% for k in range(K):
                    const ${p.type} w${k} = vload${V}(${k}, w);
% endfor
</%def>
<%def name="add(t)">\
% for k in range(K):
                    a${k}_${t} = fma(x${t}, w${k}, a${k}_${t});
% endfor
</%def>
