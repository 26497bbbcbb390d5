## Convolution or deconvolution of any shape: one output element per work-item.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
<%
    g = p.geometry
%>\
__kernel __attribute__((reqd_work_group_size(${p.grid.local}, 1, 1)))
void ${p.name}(${p.arguments})
{
${grid.loop(p.grid)}\
${grid.split(("n", "k", "o0", "o1", "o2"), p.y.spec.shape)}\
        const int group = k / ${p.out_channels};
        float sum = 0.0f;
% for axis in range(3):
        for (int k${axis} = 0; k${axis} < ${g.size[axis]}; ++k${axis}) {
% for line in p.tap(axis, f"o{axis}", f"k{axis}"):
            ${line}
% endfor
% endfor
            for (int c = 0; c < ${p.in_channels}; ++c) {
                const int channel = group * ${p.in_channels} + c;
% if p.transposed:
                const float weight = ${p.filter.load(["channel", f"(k - group * {p.out_channels})", "k0", "k1", "k2"])};
% else:
                const float weight = ${p.filter.load(["k", "c", "k0", "k1", "k2"])};
% endif
                sum = fma(${p.x.load(["n", "channel", "i0", "i1", "i2"])}, weight, sum);
            }
        }}}
        sum += ${p.bias.load(["0", "k", "0", "0", "0"])};
% for line in p.finish:
        ${line}
% endfor
    }
}
