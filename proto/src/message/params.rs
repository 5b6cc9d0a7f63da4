//! The motors' parameters: number, the vendor's name, type, default.
//!
//! Source: the vendor host's own table, the same for all four axes but for two defaults. On the wire float, int16 and
//! uint16 are low byte first, while uint32 and int32 are high byte first and read without a sign:
//! so the vendor's host converts them.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::kind::{self, Context};
use super::value::Value;
use crate::address::Address;

/// A parameter's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParamType {
    /// Single precision, low byte first.
    F32,
    /// 16 bits unsigned, low byte first.
    U16,
    /// 16 bits signed, low byte first.
    I16,
    /// 32 bits, high byte first.
    U32,
    /// 32 bits, high byte first; the host reads it without a sign.
    I32,
}

use ParamType::{F32, I16, I32, U16, U32};

impl ParamType {
    /// The vendor's word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            F32 => "float",
            U16 => "uint16_t",
            I16 => "int16_t",
            U32 => "uint32_t",
            I32 => "int32_t",
        }
    }

    /// How many bytes a value has.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            F32 | U32 | I32 => 4,
            U16 | I16 => 2,
        }
    }
}

/// The most bytes that a value has.
pub const MAX_SIZE: usize = 4;

/// How many parameters there are; their numbers are 0 to 226.
pub const COUNT: usize = PARAMS.len();

/// Names for the parameter numbers, as a field's codes.
pub(super) const NAMES: [(u32, &str); COUNT] = {
    let mut names = [(0, ""); COUNT];
    let mut id = 0;
    while id < COUNT {
        names[id] = (id as u32, PARAMS[id].0);
        id += 1;
    }
    names
};

/// The name and type of a parameter.
#[must_use]
pub fn info(id: u8) -> Option<(&'static str, ParamType)> {
    PARAMS.get(usize::from(id)).map(|(name, kind, _)| (*name, *kind))
}

/// A parameter's default for the motor at that address, as the vendor's host has it. Zero where its
/// table has none, because the printer's settings hold the value (9, 10 and 25).
#[must_use]
pub fn default(id: u8, motor: Address) -> Option<f64> {
    let not_x = OTHER_DEFAULTS.iter().find(|(own, _)| motor != X && *own == id);
    not_x.map(|(_, value)| *value).or_else(|| PARAMS.get(usize::from(id)).map(|param| param.2))
}

/// The motor whose defaults stand in [`PARAMS`].
const X: Address = Address(0x81);

/// What the other three axes' tables have in their place.
const OTHER_DEFAULTS: [(u8, f64); 2] = [(70, 300.0), (86, 0.025)];

/// A parameter's bytes, in its type; a value beyond it is the nearest one.
#[must_use]
pub fn bytes(id: u8, value: f64) -> Option<Vec<u8>> {
    // Casts of floats saturate.
    Some(match info(id)?.1 {
        F32 => (value as f32).to_le_bytes().to_vec(),
        U16 => (value as u16).to_le_bytes().to_vec(),
        I16 => (value as i16).to_le_bytes().to_vec(),
        U32 => (value as u32).to_be_bytes().to_vec(),
        I32 => (value as i32).to_be_bytes().to_vec(),
    })
}

/// A value's bytes by the parameter's type; as bytes where the parameter is unknown or the size is
/// another.
pub(super) fn decode(id: Option<u8>, bytes: &[u8]) -> Value {
    let raw = || Value::Bytes(bytes.to_vec());
    let Some((_, kind)) = id.and_then(info).filter(|(_, kind)| kind.size() == bytes.len()) else {
        return raw();
    };
    let context = Context::default();
    let value = match kind {
        F32 => (kind::F32_LE.decode)(bytes, &context),
        U16 => (kind::U16_LE.decode)(bytes, &context),
        U32 | I32 => (kind::U32_BE.decode)(bytes, &context),
        I16 => bytes.try_into().ok().map(|b| Value::Int(i16::from_le_bytes(b).into())),
    };
    value.unwrap_or_else(raw)
}

/// A value's bytes from its text.
pub(super) fn encode(id: Option<u8>, text: &str) -> Result<Vec<u8>, String> {
    let Some((_, kind)) = id.and_then(info) else {
        // No longer than what is read.
        return kind::hex_bytes(text)
            .ok()
            .filter(|bytes| bytes.len() <= MAX_SIZE)
            .ok_or_else(|| format!("at most {MAX_SIZE} bytes as hex: the parameter, and so its type, is not known here"));
    };
    let context = Context::default();
    match kind {
        F32 => (kind::F32_LE.encode)(text, &context),
        U16 => (kind::U16_LE.encode)(text, &context),
        U32 | I32 => (kind::U32_BE.encode)(text, &context),
        I16 => text
            .parse::<i16>()
            .map(|n| n.to_le_bytes().to_vec())
            .map_err(|_| "a whole number from -32768 to 32767".to_string()),
    }
    .map_err(|expected| format!("{expected} ({})", kind.name()))
}

/// By number; the defaults are those of x.
const PARAMS: [(&str, ParamType, f64); 227] = [
    ("param_flash_param_version", U16, 518.0),
    ("param_boot_key", U16, 17030.0),
    ("param_flash_key_write_retries_num", U16, 5.0),
    ("param_system_startup_delay_ms", U16, 100.0),
    ("param_pwm_period_s", F32, 3.5e-05),
    ("param_task_period_s", F32, 0.00014),
    ("param_use_default_param", U16, 0.0),
    ("param_singleturn_control_mode", U16, 1.0),
    ("param_elec_angle_calibration_standar_deg", F32, 15.0),
    ("param_elec_offset", F32, 0.0),
    ("param_phase_order_invert", I16, 0.0),
    ("param_emergency_pin_mode", U16, 1.0),
    ("param_stall_mode", U16, 2.0),
    ("param_stall_cur_A", F32, 0.7),
    ("param_stall_pos_err_rad", F32, 0.015),
    ("param_calibration_dir", I16, -1.0),
    ("param_encoder_cal_count_max", I32, 200.0),
    ("param_encoder_read_count", U16, 10.0),
    ("param_delay_ms_per_step", U16, 10.0),
    ("param_delay_ms_per_read", U16, 1.0),
    ("param_ud_cal_set", F32, 0.15),
    ("param_motion_dir", F32, 1.0),
    ("param_encoder_calibtate_official_cal_count_max", U32, 6400.0),
    ("param_encoder_calibtate_official_ud_cal_set", F32, 0.15),
    ("param_encoder_calibration_round_count", U32, 40.0),
    ("param_elec_offset_err_deg", F32, 0.0),
    ("driver_board_param_power_supply_V", F32, 24.0),
    ("driver_board_param_adc_ref_V", F32, 3.3),
    ("driver_board_param_amp_gain", F32, 20.0),
    ("driver_board_param_power_voltage_sample_gain", F32, 11.234),
    ("driver_board_param_R_of_current_sample_ohm", F32, 0.05),
    ("driver_board_param_adc_calibration_start_index", I16, 100.0),
    ("driver_board_param_adc_calibration_buffer_size", I16, 3000.0),
    ("driver_board_param_led_toggle_period_s", F32, 0.5),
    ("driver_board_param_current_dir", F32, -1.0),
    ("driver_board_param_pwm_output_en", F32, 0.0),
    ("driver_board_param_mos_Ron", F32, 0.2),
    ("driver_board_param_mos_deadtime", F32, 2.5e-07),
    ("driver_board_param_mos_rise_fall_time", F32, 1.5e-07),
    ("driver_board_param_mos_max_peak_current", F32, 6.0),
    ("driver_board_param_mos_max_continuous_current", F32, 4.0),
    ("motor_param_R", F32, 0.6),
    ("motor_param_L", F32, 0.001),
    ("motor_param_Ke", F32, 0.101859),
    ("motor_param_Kt", F32, 0.32),
    ("motor_param_mass", F32, 0.06),
    ("motor_param_J", F32, 0.01),
    ("motor_param_B", F32, 0.01),
    ("motor_param_stepping_angle_degree", F32, 1.8),
    ("motor_param_phase_nums", U16, 2.0),
    ("motor_param_pole_pair", U16, 50.0),
    ("motor_param_power_supply", F32, 24.0),
    ("motor_param_rated_voltage", F32, 2.5),
    ("motor_param_rated_current", F32, 1.5),
    ("motor_param_maximum_holding_torque", F32, 70.0),
    ("encoder_param_direction", I32, 1.0),
    ("encoder_param_encoder_bit", U32, 15.0),
    ("encoder_param_encoder_max_pulse", I32, 32768.0),
    ("encoder_param_fake_encoder_en", U16, 0.0),
    ("encoder_param_fake_encoder_step", F32, -1.0),
    ("mcu_param_sysclk_hz", U32, 144_000_000.0),
    ("mcu_param_HSE_hz", U32, 12_000_000.0),
    ("mcu_param_uart_baudrate", U32, 230400.0),
    ("mcu_param_input_pulse_counter_trigger_mode", U16, 1.0),
    ("mcu_param_input_pulse_counter_filter_level", U16, 4.0),
    ("controller_param_control_algorithm", U16, 1.0),
    ("controller_param_en_feedforward_idiq", U16, 1.0),
    ("controller_param_en_feedforward_uduq", U16, 1.0),
    ("controller_pos_loop_pid_param_en", U16, 1.0),
    ("controller_pos_loop_pid_param_bypass", U16, 0.0),
    ("controller_pos_loop_pid_param_kp", F32, 100.0),
    ("controller_pos_loop_pid_param_ki", F32, 0.0),
    ("controller_pos_loop_pid_param_kd", F32, 0.0),
    ("controller_pos_loop_pid_param_kc", F32, 0.0),
    ("controller_pos_loop_pid_ud_filter_param_en", U16, 0.0),
    ("controller_pos_loop_pid_ud_filter_param_fc", F32, 1000.0),
    ("controller_pos_loop_pid_param_limit_ui", F32, 0.0),
    ("controller_pos_loop_pid_parma_limit_out", F32, 314.1592653589),
    ("controller_pos_loop_pid_fal_param_en", U16, 0.0),
    ("controller_pos_loop_pid_fal_param_a", F32, 1.0),
    ("controller_pos_loop_pid_fal_param_d", F32, 1.0),
    ("controller_pos_loop_pid_fal_param_zoom", F32, 0.01),
    ("controller_pos_loop_pid_fal_param_section_nums", U16, 5.0),
    ("controller_pos_loop_pid_fal_param_inteval_gain", F32, 3.0),
    ("controller_spd_loop_pid_param_en", U16, 1.0),
    ("controller_spd_loop_pid_param_bypass", U16, 0.0),
    ("controller_spd_loop_pid_param_kp", F32, 0.028),
    ("controller_spd_loop_pid_param_ki", F32, 8.0),
    ("controller_spd_loop_pid_param_kd", F32, 0.0),
    ("controller_spd_loop_pid_param_kc", F32, 0.5),
    ("controller_spd_loop_pid_ud_filter_param_en", U16, 0.0),
    ("controller_spd_loop_pid_ud_filter_param_fc", F32, 1000.0),
    ("controller_spd_loop_pid_param_limit_ui", F32, 5.5),
    ("controller_spd_loop_pid_parma_limit_out", F32, 5.5),
    ("controller_spd_loop_pid_fal_param_en", U16, 0.0),
    ("controller_spd_loop_pid_fal_param_a", F32, 0.7),
    ("controller_spd_loop_pid_fal_param_d", F32, 1.0),
    ("controller_spd_loop_pid_fal_param_zoom", F32, 0.1),
    ("controller_spd_loop_pid_fal_param_section_nums", U16, 6.0),
    ("controller_spd_loop_pid_fal_param_inteval_gain", F32, 4.0),
    ("controller_cur_loop_pid_param_en", U16, 1.0),
    ("controller_cur_loop_pid_param_bypass", U16, 0.0),
    ("controller_cur_loop_pid_param_kp", F32, 2.5),
    ("controller_cur_loop_pid_param_ki", F32, 200.0),
    ("controller_cur_loop_pid_param_kd", F32, 0.0),
    ("controller_cur_loop_pid_param_kc", F32, 0.5),
    ("controller_cur_loop_pid_ud_filter_param_en", U16, 0.0),
    ("controller_cur_loop_pid_ud_filter_param_fc", F32, 1000.0),
    ("controller_cur_loop_pid_param_limit_ui", F32, 1.0),
    ("controller_cur_loop_pid_parma_limit_out", F32, 1.0),
    ("controller_cur_loop_pid_fal_param_en", U16, 0.0),
    ("controller_cur_loop_pid_fal_param_a", F32, 1.3),
    ("controller_cur_loop_pid_fal_param_d", F32, 1.0),
    ("controller_cur_loop_pid_fal_param_zoom", F32, 0.25),
    ("controller_cur_loop_pid_fal_param_section_nums", U16, 5.0),
    ("controller_cur_loop_pid_fal_param_inteval_gain", F32, 3.0),
    ("controller_leso_param_b0k", F32, 1.0),
    ("controller_leso_param_b0", F32, 6000.0),
    ("controller_leso_param_z3k", F32, 0.0),
    ("controller_leso_param_wp", F32, 4000.0),
    ("controller_leso_param_ws", F32, 4000.0),
    ("controller_leso_param_wd", F32, 400.0),
    ("controller_fwc_param_en", U16, 1.0),
    ("controller_fwc_param_I_max", F32, 5.5),
    ("controller_fwc_param_L", F32, 0.001),
    ("controller_fwc_param_phi_e", F32, 0.00203718),
    ("controller_fwc_param_pole_pair", U16, 50.0),
    ("controller_fwc_param_wm_base", F32, 100.0),
    ("controller_cur_filter_param_en", U16, 0.0),
    ("controller_cur_filter_param_Ts", F32, 0.0),
    ("controller_cur_filter_param_fc", F32, 6000.0),
    ("controller_z3_filter_binary_second_order_param_en", U16, 1.0),
    ("controller_z3_filter_binary_second_order_param_fc", F32, 2000.0),
    ("controller_z3_filter_binary_second_order_param_depth", F32, 0.5),
    ("controller_z3_filter_binary_second_order_param_zeta_0N", F32, 0.2),
    ("controller_z3_filter_binary_second_order_param_zeta_0D", F32, 0.5),
    ("controller_spd_out_filter_binary_second_order_param_en", U16, 0.0),
    ("controller_spd_out_filter_binary_second_order_param_fc", F32, 10000.0),
    ("controller_spd_out_filter_binary_second_order_param_depth", F32, 0.3333333333333333),
    ("controller_spd_out_filter_binary_second_order_param_zeta_0N", F32, 0.3),
    ("controller_spd_out_filter_binary_second_order_param_zeta_0D", F32, 0.5),
    ("controller_td_param_en", U16, 1.0),
    ("controller_td_param_h0_gain_h", F32, 20.0),
    ("controller_td_fhan_param_f0", F32, 1000.0),
    ("controller_td_param_d_gain", F32, 1.0),
    ("controller_td_param_dd_gain", F32, 0.0),
    ("controller_spd_out_filter_notch_0_param_en", U16, 0.0),
    ("controller_spd_out_filter_notch_0_param_f0", F32, 10000.0),
    ("controller_spd_out_filter_notch_0_param_f_width", F32, 30.0),
    ("controller_spd_out_filter_notch_0_param_depth", F32, 0.5),
    ("controller_spd_out_filter_notch_1_param_en", U16, 0.0),
    ("controller_spd_out_filter_notch_1_param_f0", F32, 120.0),
    ("controller_spd_out_filter_notch_1_param_f_width", F32, 20.0),
    ("controller_spd_out_filter_notch_1_param_depth", F32, 0.5),
    ("controller_spd_out_filter_notch_2_param_en", U16, 0.0),
    ("controller_spd_out_filter_notch_2_param_f0", F32, 30.0),
    ("controller_spd_out_filter_notch_2_param_f_width", F32, 10.0),
    ("controller_spd_out_filter_notch_2_param_depth", F32, 0.5),
    ("controller_motor_ripple_compensator_en", U16, 0.0),
    ("controller_motor_ripple_compensator_sin_coeffs_0_term_A", F32, 0.0),
    ("controller_motor_ripple_compensator_sin_coeffs_0_term_n", F32, 0.0),
    ("controller_motor_ripple_compensator_sin_coeffs_0_term_phi", F32, 0.0),
    ("controller_motor_ripple_compensator_sin_coeffs_1_term_A", F32, 0.0),
    ("controller_motor_ripple_compensator_sin_coeffs_1_term_n", F32, 0.0),
    ("controller_motor_ripple_compensator_sin_coeffs_1_term_phi", F32, 0.0),
    ("controller_motor_ripple_compensator_sin_coeffs_2_term_A", F32, 0.0),
    ("controller_motor_ripple_compensator_sin_coeffs_2_term_n", F32, 0.0),
    ("controller_motor_ripple_compensator_sin_coeffs_2_term_phi", F32, 0.0),
    ("flash_manager_param_checksum_restore_en", U16, 0.0),
    ("logger_param_en", U16, 0.0),
    ("logger_param_continuous_send", U16, 0.0),
    ("logger_param_sample_interval_n", U16, 0.0),
    ("logger_param_n_pack_to_send", U32, 0.0),
    ("protection_param_protect_en", U16, 1.0),
    ("protection_param_protect_report", U16, 0.0),
    ("protection_param_err_code_mask", U32, 4_294_952_959.0),
    ("protection_param_warning_code_mask", U32, 4_294_967_295.0),
    ("protection_param_encoder_mutation_coefficient_upper", F32, 0.5),
    ("protection_param_encoder_mutation_coefficient_lower", F32, 0.1),
    ("protection_param_prt_peak_cur_A", F32, 999.0),
    ("protection_param_prt_continuous_cur_A", F32, 4.0),
    ("protection_param_prt_continuous_time_s", F32, 1.0),
    ("protection_param_prt_over_speed_rad_s", F32, 314.1592653589793),
    ("protection_param_prt_over_speed_time_s", F32, 0.1),
    ("protection_param_pos_over_limit_max_rad", F32, 999.0),
    ("protection_param_pos_over_limit_min_rad", F32, -999.0),
    ("protection_param_prt_cmd_mutation_turn", F32, 0.1),
    ("protection_param_prt_track_max_err", F32, 0.1),
    ("protection_param_prt_track_err_time", F32, 0.1),
    ("protection_param_power_voltage_min", F32, 20.0),
    ("protection_param_mcu_temp_max", F32, 115.0),
    ("protection_err_code_backup", U32, 0.0),
    ("protection_warning_code_backup", U32, 0.0),
    ("chopper_param_chopper_mode", U16, 1.0),
    ("chopper_param_svpwm_mode", U16, 1.0),
    ("chopper_param_base_pwm", F32, 0.0),
    ("chopper_param_offset_pwm_en", U16, 0.0),
    ("chopper_param_offset_pwm", F32, 0.02),
    ("chopper_param_hybrid_decay_ratio", F32, 999_999_999.0),
    ("step_controller_param_pulse_count_max", U16, 65000.0),
    ("step_controller_param_subdivision", U16, 16.0),
    ("step_controller_param_pulse_trim_en", U16, 0.0),
    ("step_controller_param_trim_action_period", U16, 10.0),
    ("step_controller_param_extra_trim_pulse", U16, 10.0),
    ("cmd_int_param_char_cmd_support", U16, 1.0),
    ("system_id_RL_param_param_uin_startup", F32, 0.06),
    ("system_id_RL_param_param_uin_calibrate", F32, 0.15),
    ("system_id_RL_param_param_current_stable_err_condition", F32, 0.005),
    ("system_id_RL_param_param_current_buff_size", U16, 500.0),
    ("system_id_RL_param_param_current_err_size", U16, 20.0),
    ("system_id_RL_param_param_prepare_time", U16, 5000.0),
    ("system_id_RL_param_param_normal_R_range_min", F32, 0.1),
    ("system_id_RL_param_param_normal_R_range_max", F32, 100.0),
    ("system_id_RL_param_param_normal_L_range_min", F32, 1e-06),
    ("system_id_RL_param_normal_L_range_max", F32, 1.0),
    ("motor_phase_check_param_run_on_startup", U16, 1.0),
    ("motor_phase_check_param_motor_resistance_tolerance_standar_percent", F32, 30.0),
    ("zazen_param_zazen_en", U16, 1.0),
    ("zazen_param_zazen_trigger_time_s", F32, 1.0),
    ("zazen_param_zazen_gain_pos_kp", F32, 1.0),
    ("zazen_param_zazen_gain_spd_kp", F32, 0.5),
    ("zazen_param_zazen_gain_spd_ki", F32, 0.5),
    ("zazen_param_zazen_gain_cur_kp", F32, 1.0),
    ("zazen_param_zazen_gain_cur_ki", F32, 1.0),
    ("param_flash_key", U16, 23333.0),
    ("param_flash_checksum", U16, 0.0),
    ("stall_pos_err_rad_for_slicer", F32, 0.016375),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_as_the_host_converts_them() {
        let find = |name: &str| {
            PARAMS.iter().position(|(n, ..)| *n == name).and_then(|id| u8::try_from(id).ok())
        };
        let float = find("param_pwm_period_s");
        assert_eq!(float, Some(4));
        assert_eq!(decode(float, &[0, 0, 0xc0, 0x3f]), Value::Float(1.5));
        assert_eq!(encode(float, "1.5"), Ok(Vec::from([0, 0, 0xc0, 0x3f])));
        let short = decode(Some(0), &[0x01, 0x00]);
        assert_eq!(short, Value::Int(1));
        let of = |kind| PARAMS.iter().position(|(_, k, _)| *k == kind).map(|id| id as u8);
        assert_eq!(decode(of(U32), &[0, 0, 0, 1]), Value::Int(1));
        assert_eq!(decode(of(I32), &[0xff, 0xff, 0xff, 0xfe]), Value::Int(4_294_967_294));
        assert_eq!(decode(of(I16), &[0xff, 0xff]), Value::Int(-1));
        // Bytes of an unknown parameter are written only as far as they are read.
        assert_eq!(encode(Some(227), "00112233"), Ok(Vec::from([0x00, 0x11, 0x22, 0x33])));
        assert_eq!(
            encode(None, "0011223344"),
            Err("at most 4 bytes as hex: the parameter, and so its type, is not known here"
                .to_string())
        );
        assert_eq!(bytes(22, default(22, X).unwrap()), Some(Vec::from([0, 0, 0x19, 0x00])));
        assert_eq!(default(86, X), Some(0.028));
        assert_eq!(default(86, Address(0x82)), Some(0.025));
        assert_eq!((default(227, X), bytes(227, 0.0)), (None, None));
        // Another size, or an unknown parameter: bytes.
        assert_eq!(decode(float, &[1]), Value::Bytes(Vec::from([1])));
        assert_eq!(decode(Some(227), &[1, 0]), Value::Bytes(Vec::from([1, 0])));
    }
}
