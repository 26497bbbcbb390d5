## Depthwise convolution (and groups of a few channels) on vectors of channels, a row or column of pixels per work-item.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
<%
    g, a, b = p.geometry, p.axis, p.across
%>\
${grid.function(p, p.arguments)}\
{
${grid.loop(p.grid)}\
${grid.split(p.names, p.counts)}\
        const int o${a} = min(tile * ${p.tile}, ${p.y.spec.shape[2 + a] - p.tile});
        const int first0 = ${p.first(0)}, first1 = ${p.first(1)}, first2 = ${p.first(2)};
        __global const float *w = filter + ${p.filter_start};
% for t in range(p.tile):
        ${p.type} a${t} = ${f"vload{p.width}(block, bias)" if p.width > 1 else "bias[block]"};
% endfor
        for (int k0 = 0; k0 < ${g.size[0]}; ++k0)
        for (int k${b} = 0; k${b} < ${g.size[b]}; ++k${b}, w += ${g.size[a] * p.per_group * p.width}) {
            const int i0 = first0 + k0 * ${g.dilation[0]}, i${b} = first${b} + k${b} * ${g.dilation[b]};
% if p.tested:
            if (${p.beyond(0)} || ${p.beyond(b)})
                continue;
% endif
            const int s0 = ${p.source(0)}, s${b} = ${p.source(b)};
% for k in range(g.size[a]):
% for lane in range(p.per_group):
            const ${p.type} w${k}_${lane} = ${p.load_filter(k, lane)};
% endfor
% endfor
% for q in p.places:
            {
                const int i${a} = first${a} + ${q}, s${a} = ${p.source(a)};
% if p.tested:
                ${p.type} value = (${p.type})(0.0f);
                if (!(${p.beyond(a)}))
                    value = ${p.x.load(["n", p.channel, "s0", "s1", "s2"])};
% else:
                const ${p.type} value = ${p.x.load(["n", p.channel, "s0", "s1", "s2"])};
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
