## Sliding-window sum or maximum over channels: a pixel's channels are gathered from their blocks, then windows slide.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
<%
    V = p.width
    behind = p.lead + p.blocks
%>\
${grid.function(p, p.arguments)}\
{
    float row[${p.row * V}];
% for k in (*range(p.lead), *range(behind, p.row)):
    vstore${V}(${p.fill}, ${k}, row);
% endfor
${grid.loop(p.grid)}\
${grid.split(p.names, p.counts)}\
        for (int block = 0; block < ${p.blocks}; ++block)
            vstore${V}(${p.block_value}, block + ${p.lead}, row);
        for (int block = 0; block < ${p.blocks}; ++block) {
            ${p.type} sum = ${p.start};
            for (int k = 0; k < ${p.size}; ++k)
                ${p.combine(f"vload{V}(block, row + {p.first} + k)")}
% for line in p.finish:
            ${line}
% endfor
        }
    }
}
