## Images of bytes as a network's input: a work-item makes all channels of a pixel.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
${grid.function(p, "__global const uchar *restrict x, __global float *restrict y")}\
{
${grid.loop(p.grid)}\
${grid.split(p.axes, p.extents)}\
% if p.resized:
% for axis, side in (("i", p.rows), ("j", p.columns)):
% for line in side.bounds(axis):
        ${line}
% endfor
% endfor
        float total = 0.0f;
% for channel in p.sources:
        float v${channel} = 0.0f;
% endfor
        for (int row = first_i; row < last_i; ++row) {
            const float above = ${p.rows.weight("i", "row")};
            for (int column = first_j; column < last_j; ++column) {
                const float weight = above * ${p.columns.weight("j", "column")};
                total += weight;
% for channel in p.sources:
                v${channel} += weight * ${p.pixel(channel, "row", "column")};
% endfor
            }
        }
% else:
% for channel in p.sources:
        const float v${channel} = ${p.pixel(channel, "i", "j")};
% endfor
% endif
% for number in range(len(p.order)):
        ${p.store(number)}
% endfor
    }
}
