## Convolution with single pixels of plain tensors: vectors of pixels times weights, several of both at a time.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
<%
    T, B = p.channels, p.vectors
%>\
${grid.function(p, p.arguments)}\
{
${grid.loop(p.grid)}\
${grid.split(("n", "od", "oh", "part", "ktile"), p.counts)}\
        const int k0 = ${p.first_channel}, ow = min(part * ${p.segment}, ${p.y.spec.shape[4] - p.segment});
        const int id = ${p.source(0, "od")}, ih = ${p.source(1, "oh")}, iw = ${p.source(2, "ow")};
        __global const float *w = filter + ktile * ${p.in_channels * T};
% for t in range(T):
        ${p.type} ${", ".join(f"a{t}_{b} = ({p.type})(bias[k0 + {t}])" for b in range(B))};
% endfor
        for (int c = 0; c < ${p.in_channels}; ++c, w += ${T}) {
            const ${p.index_type} at = ${p.x.at(["n", f"({p.group} + c)", "id", "ih", "iw"])};
% for b in range(B):
            const ${p.type} x${b} = ${p.pixels(b)};
% endfor
% for t in range(T):
            const ${p.type} w${t} = (${p.type})(w[${t}]);
% for b in range(B):
            a${t}_${b} = fma(x${b}, w${t}, a${t}_${b});
% endfor
% endfor
        }
% for t in range(T):
% for b in range(B):
% for line in ["{", *p.finish(t, b), "}"]:
        ${line}
% endfor
% endfor
% endfor
    }
}
