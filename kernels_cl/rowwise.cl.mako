## Rows: one work-item reduces a row stage by stage, then maps it, with vectors along the row.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
${grid.function(p, p.arguments)}\
{
${grid.loop(p.grid)}\
${grid.split(p.axes, p.kept)}\
% for k, operand in enumerate(p.operands):
        __global const ${p.operand_type(k)} *row${k} = x${k} + ${p.start(operand.kept)};
% endfor
        __global float *result = y + ${p.start(p.result)};
% for number, stage in enumerate(p.stages):
% if stage.kind == "map":
<%
    lines, value = p.value(number, 1)
%>\
        float n${number};
        {
% for line in lines:
            ${line}
% endfor
            n${number} = ${value};
        }
% else:
% for suffix, width, first, end in p.pieces:
<%
    lines, value = p.value(number, width)
    total = f"t{number}{suffix}"
%>\
        ${p.type(width)} ${total} = ${p.initial(number, width)};
        for (${p.index} run = ${first}; run < ${end}; run += ${p.run * width}) {
            ${p.type(width)} part = ${p.initial(number, width)};
            for (${p.index} r = run; r < min(run + ${p.run * width}, (${p.index})${end}); r += ${width}) {
% for line in lines:
                ${line}
% endfor
                ${p.combine(number, "part", value, width)}
            }
            ${p.combine(number, total, "part", width)}
        }
% endfor
% for line in p.reduce(number):
        ${line}
% endfor
% endif
% endfor
% for suffix, width, first, end in p.pieces:
<%
    lines, value = p.value(None, width)
%>\
        for (${p.index} r = ${first}; r < ${end}; r += ${width}) {
% for line in lines:
            ${line}
% endfor
            ${p.store(value, width)}
        }
% endfor
    }
}
