## Space to depth: a row of a block of channels, lane after lane.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
<%
    V, (_, CHANNELS, _, _, COLUMNS) = p.y.block, p.y.spec.shape
    _, C, _, H, W = p.x.spec.shape
    STRIDE = p.across.stride
%>\
${grid.function(p, p.arguments)}\
{
${grid.loop(p.grid)}\
${grid.split(p.names, p.counts)}\
        __global float *to = y + ${p.y.at(["n", "block", "depth", "row", "0"])};
        for (int lane = 0; lane < ${V}; ++lane, ++to) {
            const int part = (block * ${V} + lane) / ${C}, c = (block * ${V} + lane) % ${C};
            const int ih = ${p.row}, left = ${p.column("0")};
            if (block * ${V} + lane >= ${CHANNELS}${f" || ih < 0 || ih >= {H}" if p.tested else ""}) {
                for (int column = 0; column < ${COLUMNS}; ++column)
                    to[column * ${V}] = 0.0f;
                continue;
            }
            const int sh = ${p.source(1, "ih")};
            __global const float *from = x + ${p.x.at(["n", "c", "depth", "sh", "0"])};
            const int begin = clamp((${STRIDE - 1} - left) / ${STRIDE}, 0, ${COLUMNS});
            const int end = clamp((${W + STRIDE - 1} - left) / ${STRIDE}, begin, ${COLUMNS});
${outside("0", "begin")}\
            for (int column = begin; column < end; ++column)
                to[column * ${V}] = from[column * ${STRIDE} + left];
${outside("end", COLUMNS)}\
        }
    }
}
<%def name="outside(first, last)">\
            for (int column = ${first}; column < ${last}; ++column) {
% if p.tested:
                to[column * ${p.y.block}] = 0.0f;
% else:
                const int iw = column * ${p.across.stride} + left;
                to[column * ${p.y.block}] = from[${p.source(2, "iw")}];
% endif
            }
</%def>
