## Convolution or deconvolution of any shape: one output element per work-item.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
<%
    g = p.geometry
%>\
${grid.function(p, p.arguments)}\
{
${grid.loop(p.grid)}\
${grid.split(("n", "k", *p.names("o")), p.y.spec.shape)}\
        const int group = k / ${p.out_channels};
        float sum = 0.0f;
% for axis in p.spatial:
        for (int k${axis} = 0; k${axis} < ${g.size[axis]}; ++k${axis}) {
% for line in p.tap(axis, f"o{axis}", f"k{axis}"):
            ${line}
% endfor
% endfor
            for (int c = 0; c < ${p.in_channels}; ++c) {
                const int channel = group * ${p.in_channels} + c;
% if p.transposed:
                const float weight = ${p.filter.load(["channel", f"(k - group * {p.out_channels})", *p.names("k")])};
% else:
                const float weight = ${p.filter.load(["k", "c", *p.names("k")])};
% endif
                sum = fma(${p.x.load(["n", "channel", *p.names("i")])}, weight, sum);
            }
        ${"}" * len(p.spatial)}
        sum += ${p.bias.load(["0", "k", "0", "0", "0"])};
% for line in p.finish:
        ${line}
% endfor
    }
}
