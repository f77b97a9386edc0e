#include "feature/program/fixed_math.h"

#include <limits>

// The build renames musl's functions (cmake/Vendors.cmake), so that nothing else is linked to them.
extern "C" {
double musl_exp(double x);
double musl_log(double x);
double musl_log2(double x);
double musl_log10(double x);
double musl_sin(double x);
double musl_cos(double x);
double musl_tan(double x);
double musl_asin(double x);
double musl_acos(double x);
double musl_atan(double x);
double musl_sinh(double x);
double musl_cosh(double x);
double musl_tanh(double x);
double musl_asinh(double x);
double musl_acosh(double x);
double musl_atanh(double x);
double musl_cbrt(double x);
double musl_pow(double x, double y);
double musl_atan2(double y, double x);
}

namespace tidemill::fixed {

double Exp(double x) { return musl_exp(x); }
double Log(double x) { return musl_log(x); }
double Log2(double x) { return musl_log2(x); }
double Log10(double x) { return musl_log10(x); }
double Sin(double x) { return musl_sin(x); }
double Cos(double x) { return musl_cos(x); }
double Tan(double x) { return musl_tan(x); }
double Asin(double x) { return musl_asin(x); }
double Acos(double x) { return musl_acos(x); }
double Atan(double x) { return musl_atan(x); }
double Sinh(double x) { return musl_sinh(x); }
double Cosh(double x) { return musl_cosh(x); }
double Tanh(double x) { return musl_tanh(x); }
double Asinh(double x) { return musl_asinh(x); }
// Below -1 musl's gives numbers.
double Acosh(double x) { return x < 1 ? std::numeric_limits<double>::quiet_NaN() : musl_acosh(x); }
double Atanh(double x) { return musl_atanh(x); }
double Cbrt(double x) { return musl_cbrt(x); }
double Pow(double x, double y) { return musl_pow(x, y); }
double Atan2(double y, double x) { return musl_atan2(y, x); }

}  // namespace tidemill::fixed
