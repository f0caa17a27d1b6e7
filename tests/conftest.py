import os
from collections import Counter
from pathlib import PurePath

import jax
import pytest

from tests import quick

# Neither tests nor their child processes use the user's cache of compiled programs.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
jax.config.update("jax_enable_compilation_cache", False)

# For tests of sharding; must be set before the first use of a device.
jax.config.update("jax_num_cpu_devices", 8)


# Files whose tests take five seconds or more in total: `make test-quick` leaves them out.
SLOW = {
    *("test_attention.py", "test_blur.py", "test_fractional.py", "test_reduce_window.py"),
    *("test_layout.py", "test_learned.py", "test_linear.py", "test_methods.py"),
    *("test_regions.py", "test_roi.py", "test_soft.py", "test_weighted.py"),
    *("test_argmax.py", "test_lp.py", "test_random.py", "test_winner.py"),
}

# Tests that repeat one check over a table. Of a test with the value n, `make test` runs every n-th
# case; the others are marked `thorough`. (An operator has 24 cases in test_modes.py, so 25 takes it
# in another mode than the operator before it, and each mode about twice.)
ONE_IN = {
    "test_modes.py::test_every_mode_gives_the_result_of_a_plain_call": 25,
    "test_modes.py::test_operands_that_vary_over_devices": 8,
    "test_autodiff.py::test_transformations": 17,
    "test_autodiff.py::test_first_and_second_derivatives": 10,
    "test_autodiff.py::test_forward_and_reverse_mode_have_one_jacobian": 7,
    "test_edges.py::test_four_bit_integers_are_selected_as_in_int8": 9,
    "test_edges.py::test_eight_bit_floats_are_selected_as_in_float32": 9,
    "test_bad_input.py::test_the_call_is_valid_without_the_bad_argument": 4,
    "test_bugs_of_others.py::test_max_pooling_hides_nan_on_large_arrays": 7,
    "test_layout.py::test_merged_rows_give_the_same_bits_as_other_backends": 11,
    "test_blur.py::test_the_derivative_is_the_adjoint": 13,
    "test_regions.py::test_images_by_vmap_by_index_and_one_by_one": 6,
    "test_regions.py::test_derivatives": 6,
    "test_regions.py::test_export_with_symbolic_images_and_boxes": 8,
    "test_regions.py::test_half_precision_is_computed_in_float32": 3,
    "test_regions.py::test_images_and_indices_must_go_together": 4,
    "test_regions.py::test_boxes_of_other_dtypes": 3,
    "test_regions.py::test_what_a_box_does_not_touch_does_not_matter": 3,
    "test_regions.py::test_traced_images_are_clamped": 3,
    "test_weighted.py::test_every_operand_has_derivatives": 3,
    "test_dense.py::test_infinite_cotangents_stay_where_their_box_is": 9,
    "test_dense.py::test_the_gradients_of_the_form_for_cpu": 9,
    "test_dense.py::test_features_outside_a_box_do_not_reach_its_gradients": 3,
    "test_fractional.py::test_derivatives_are_those_of_reading_the_elements": 6,
    "test_fractional.py::test_keys_draw_and_samples_repeat": 6,
    "test_fractional.py::test_windows_between_boundaries": 6,
    "test_argmax.py::test_places_of_int64_are_those_of_int32": 5,
    "test_learned.py::test_values_and_masks": 5,
    "test_records.py::test_recorded_verdicts_equal_those_of_a_new_run": 7,
    "test_sharding.py::test_only_halos_are_exchanged": 17,
    "test_targets.py::test_the_portable_form_has_the_same_value_and_gradient": 6,
    "test_targets.py::test_programs_for_several_platforms_choose_one": 6,
    "test_median.py::test_against_the_oracle": 2,
    "test_soft.py::test_against_the_oracle": 4,
    "test_attention.py::test_derivatives_in_input_and_parameters": 4,
    "test_learned.py::test_derivatives_in_input_and_parameter": 4,
    "test_small_cnn.py::test_depth_and_norm_follow_the_options": 8,
    "test_image_studies.py::test_every_variant_fits_its_network": 3,
    "test_training.py::test_an_interrupted_run_goes_on_to_the_same_numbers": 2,
    "test_contenders.py::test_a_contender_of_another_interpreter_takes_turns": 2,
    "test_torch.py::test_max_pool": 4,
    "test_torch.py::test_avg_pool": 4,
    "test_methods.py::test_methods_agree_for_every_dtype": 5,
    "test_contenders.py::test_contenders_give_the_reference_s_result": 3,
    "test_random.py::test_draws_in_training_and_none_in_inference": 3,
    "test_lp.py::test_right_over_the_whole_range_of_float32": 3,
    "test_roi.py::test_align_against_the_oracle": 3,
    "test_mixed.py::test_alpha_is_an_array_that_broadcasts_to_the_output": 2,
    "test_adaptive.py::test_pytorch_agrees_in_value_index_and_gradient": 2,
    "test_top_k.py::test_the_derivative_goes_to_the_first_of_equal_elements": 2,
    "test_winner.py::test_joint_search_equals_separate_value_and_winner": 3,
    "test_methods.py::test_methods_agree_on_chosen_geometries": 2,
    "test_half_order.py::test_subnormal_numbers_and_nan_are_kept": 3,
    "test_learned.py::test_the_whole_map": 2,
    "test_learned.py::test_the_dtype_is_that_of_the_input_and_parameters_stay_in_single": 2,
    "test_targets.py::test_the_portable_form_is_one_program_for_all_platforms": 6,
    "test_flax.py::test_results_equal_those_of_flax": 3,
    "test_lax.py::test_results_equal_those_of_lax": 3,
    "test_edges.py::test_nnx_variables_are_accepted_as_arrays": 3,
    "test_sharding.py::test_few_more_bytes_are_exchanged_than_by_lax": 3,
    "test_edges.py::test_a_batch_may_be_empty": 5,
    "test_edges.py::test_a_box_with_a_nan_has_no_elements": 3,
    "test_reduce_window.py::test_derivatives_with_respect_to_operand_and_init": 3,
    "test_attention.py::test_values_and_masks": 2,
    "test_adaptive.py::test_masked_elements_do_not_exist": 3,
    "test_targets.py::test_programs_for_gpu_contain_no_cpu_workarounds": 5,
    "test_roi.py::test_align_and_the_reference_implementation_of_onnx": 2,
    "test_roi.py::test_boxes_far_larger_than_the_map_skip_the_samples_outside": 2,
    "test_elements.py::test_fold_and_every_visit_the_taps_of_each_window": 2,
    "test_windowed.py::test_a_module_is_its_operator_with_the_arguments_filled_in": 2,
    "test_blur.py::test_one_axis": 4,
    "test_reduce_window.py::test_folds_in_order": 2,
    "test_reduce_window.py::test_maxima_minima_and_sums": 2,
    "test_global_pools.py::test_against_numpy": 2,
    "test_sentence_scorer.py::test_scores_do_not_depend_on_padding": 2,
    "test_documents.py::test_the_python_of_a_page_runs": 2,
    "test_text_cnn.py::test_logits_do_not_depend_on_padding": 6,
    "test_fractional.py::test_sliding_windows_against_the_oracle": 2,
    "test_fractional.py::test_pytorch_agrees_given_its_samples": 3,
    "test_soft.py::test_half_precision_is_computed_in_single": 5,
    "test_soft.py::test_windows_of_many_taps": 2,
    "test_winner.py::test_reverse_mode_keeps_bytes_not_floats": 2,
    "test_attention.py::test_the_dtype_is_that_of_the_input_and_parameters_stay_in_single": 3,
    "test_sharding.py::test_computed_places_need_no_exchange_of_images_or_channels": 3,
    "test_flax.py::test_values_are_those_of_flax": 2,
}


def pytest_collection_modifyitems(items):
    met = Counter()
    for item in items:
        if item.path.name in SLOW:
            item.add_marker(pytest.mark.slow)
        name = f"{item.path.name}::{item.originalname}" if hasattr(item, "originalname") else ""
        if name in ONE_IN:
            if met[name] % ONE_IN[name]:
                item.add_marker(pytest.mark.thorough)
            met[name] += 1


@pytest.fixture(scope="module")
def compile_quickly():
    """Switches off XLA's optimisations, for tests that compile many programs and run them once.

    Child processes compile without optimisations, too.
    """
    with quick.everywhere(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "true")
        yield


def pytest_terminal_summary(terminalreporter):
    """Prints the number of passed cases per conformance suite; a test may record several."""
    counts = Counter()
    for report in terminalreporter.getreports("passed"):
        path = PurePath(report.nodeid.partition("::")[0])
        if report.when == "call" and path.parent.name == "conformance":
            suite = path.stem.removeprefix("test_")
            counts[suite] += dict(report.user_properties).get("cases", 1)
    if counts:
        terminalreporter.section("conformance")
        for suite, count in sorted(counts.items()):
            terminalreporter.write_line(f"{suite}: {count} cases passed")
