"""Normalisations and moments as their NNEF definitions (sections 4.9.4, 4.9.6)."""

from __future__ import annotations

from nnef_cl.ops.base import op

OPS = (
    op("""fragment local_response_normalization( input: tensor<scalar>, size: integer[], alpha: scalar = 1.0,
          beta: scalar = 0.5, bias: scalar = 1.0 ) -> ( output: tensor<scalar> )
          {
              sigma = bias + alpha * box(sqr(input), size = size, normalize = true);
              output = input / (sigma ^ beta);
          }"""),
    op("""fragment local_mean_normalization( input: tensor<scalar>, size: integer[] ) -> ( output: tensor<scalar> )
          { output = input - box(input, size = size, normalize = true); }"""),
    op("""fragment local_variance_normalization( input: tensor<scalar>, size: integer[], bias: scalar = 0.0,
          epsilon: scalar = 0.0 ) -> ( output: tensor<scalar> )
          {
              sigma = sqrt(box(sqr(input), size = size, normalize = true));
              output = input / max(sigma + bias, epsilon);
          }"""),
    op("""fragment local_contrast_normalization( input: tensor<scalar>, size: integer[], bias: scalar = 0.0,
          epsilon: scalar = 0.0 ) -> ( output: tensor<scalar> )
          {
              centered = local_mean_normalization(input, size = size);
              output = local_variance_normalization(centered, size = size, bias = bias, epsilon = epsilon);
          }"""),
    op("""fragment l1_normalization( input: tensor<scalar>, axes: integer[], bias: scalar = 0.0,
          epsilon: scalar = 0.0 ) -> ( output: tensor<scalar> )
          {
              sigma = sum_reduce(abs(input), axes = axes);
              output = input / max(sigma + bias, epsilon);
          }"""),
    op("""fragment l2_normalization( input: tensor<scalar>, axes: integer[], bias: scalar = 0.0,
          epsilon: scalar = 0.0 ) -> ( output: tensor<scalar> )
          {
              sigma = sqrt(sum_reduce(sqr(input), axes = axes));
              output = input / max(sigma + bias, epsilon);
          }"""),
    # One factor and one term per channel: with constant statistics both fold into the operation before.
    op("""fragment batch_normalization( input: tensor<scalar>, mean: tensor<scalar>, variance: tensor<scalar>,
          offset: tensor<scalar>, scale: tensor<scalar>, epsilon: scalar ) -> ( output: tensor<scalar> )
          {
              factor = scale / sqrt(variance + epsilon);
              output = input * factor + (offset - mean * factor);
          }"""),
    op("""fragment moments( input: tensor<scalar>, axes: integer[] )
          -> ( mean: tensor<scalar>, variance: tensor<scalar> )
          {
              mean = mean_reduce(input, axes = axes);
              variance = mean_reduce(sqr(input - mean), axes = axes);
          }"""),
)  # fmt: skip
