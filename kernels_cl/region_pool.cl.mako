## Maximum or average over the cells of regions; only elements inside the map take part.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
${grid.function(p, p.arguments)}\
{
${grid.loop(p.grid)}\
${grid.split(p.axes, p.y.spec.shape)}\
        const int b = ${p.batch};
% for axis in p.spatial:
% for line in p.corner(axis) + p.cell(axis):
        ${line}
% endfor
% endfor
        float sum = 0.0f;
        int count = 0;
% for axis in p.spatial:
        for (int i${axis} = low${axis}; i${axis} < high${axis}; ++i${axis})
% endfor
        {
            const float value = ${p.element([f"i{a}" for a in p.spatial])};
            ${p.combine}
            ++count;
        }
        y[item] = ${p.result};
    }
}
