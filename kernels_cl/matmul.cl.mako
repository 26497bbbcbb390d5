## Matrix product: one work-item = `tile` rows x `blocks` vectors of columns, B packed in panels.
<%namespace name="grid" file="/_lib/grid.cl.mako"/>\
${grid.function(p, p.arguments)}\
{
${grid.loop(p.grid)}\
${grid.split(p.names, p.counts)}\
        const int m = min(mtile * ${p.tile}, ${p.rows - p.tile});
% for k, place in enumerate(p.places):
        const int n${k} = ${place};
% endfor
        __global const float *row = a + ${p.a_start};
        __global const float *panel = b + ${p.b_start};
% for t in range(p.tile):
% for k in range(p.blocks):
        ${p.type} c${t}_${k} = (${p.type})(0.0f);
% endfor
% endfor
        for (int k = 0; k < ${p.depth}; ++k) {
% for k in range(p.blocks):
            const ${p.type} w${k} = ${f"vload{p.width}({k}, panel)" if p.width > 1 else f"panel[{k}]"};
% endfor
            panel += ${p.lanes};
% for t in range(p.tile):
            const float r${t} = row[${t * p.row_step} + k * ${p.depth_step}];
% for k in range(p.blocks):
            c${t}_${k} = fma((${p.type})(r${t}), w${k}, c${t}_${k});
% endfor
% endfor
        }
% for t in range(p.tile):
% for k in range(p.blocks):
% for line in p.finish(t, k):
        ${line}
% endfor
% endfor
% endfor
    }
}
