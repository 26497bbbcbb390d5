## Element-wise map or affine rearrangement: any rank, layout, type and broadcast.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
${grid.function(p, p.arguments)}\
{
${grid.loop(p.grid)}\
${grid.split(p.split_names, p.counts)}\
% if p.extents:
${grid.lanes(p.axes[-1], p.extents[-1], p.width)}\
% endif
% for line in p.body:
        ${line}
% endfor
    }
}
