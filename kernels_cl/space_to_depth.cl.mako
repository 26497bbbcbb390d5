## Space to depth: a row of a block of channels; a pixel's channels are gathered one by one and stored as a vector.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
<%
    V, (_, CHANNELS, _, _, COLUMNS) = p.y.block, p.y.spec.shape
    _, C, _, H, W = p.x.spec.shape
    STRIDE, (BEGIN, END) = p.across.stride, p.inner
%>\
${grid.function(p, p.arguments)}\
{
${grid.loop(p.grid)}\
${grid.split(p.names, p.counts)}\
        __global float *to = y + ${p.y.at(["n", "block", "depth", "row", "0"])};
        // Of every lane: the row it reads, the column of x for the first one of y, and whether it reads x at all.
        __global const float *from[${V}];
        int left[${V}], read[${V}];
        for (int lane = 0; lane < ${V}; ++lane) {
            const int channel = min(block * ${V} + lane, ${CHANNELS - 1}), part = channel / ${C}, c = channel % ${C};
            const int ih = ${p.row}, sh = ${p.source(1, "ih")};
            from[lane] = x + ${p.x.at(["n", "c", "depth", "sh", "0"])};
            left[lane] = ${p.left};
            read[lane] = -(block * ${V} + lane < ${CHANNELS}${f" && ih >= 0 && ih < {H}" if p.tested else ""});
        }
        const int${V} inside = vload${V}(0, read);
% for lane in range(V):
        __global const float *f${lane} = from[${lane}] + left[${lane}];
% endfor
        for (int column = ${BEGIN}; column < ${END}; ++column) {
            const float${V} value = (float${V})(${", ".join(f"f{lane}[column * {STRIDE}]" for lane in range(V))});
            vstore${V}(select((float${V})(0.0f), value, inside), column, to);
        }
% for first, last in ((0, BEGIN), (END, COLUMNS)):
% if first < last:
        for (int column = ${first}; column < ${last}; ++column)
            for (int lane = 0; lane < ${V}; ++lane) {
                const int iw = column * ${STRIDE} + left[lane];
% if p.tested:
                const int within = read[lane] && iw >= 0 && iw < ${W};
                to[column * ${V} + lane] = within ? from[lane][iw] : 0.0f;
% else:
                to[column * ${V} + lane] = read[lane] ? from[lane][${p.source(2, "iw")}] : 0.0f;
% endif
            }
% endif
% endfor
    }
}
