#pragma once

/// Functions that no processor rounds for us, in one fixed implementation (musl's, linked in under names of its own), so that
/// their bits depend on neither the C library nor the processor's instructions. Errors are below one unit in the last place, below
/// two for the hyperbolic functions. Special values are those of the C standard.
namespace tidemill::fixed {

double Exp(double x);
double Log(double x);
double Log2(double x);
double Log10(double x);
double Sin(double x);
double Cos(double x);
double Tan(double x);
double Asin(double x);
double Acos(double x);
double Atan(double x);
double Sinh(double x);
double Cosh(double x);
double Tanh(double x);
double Asinh(double x);
double Acosh(double x);
double Atanh(double x);
double Cbrt(double x);
double Pow(double x, double y);
double Atan2(double y, double x);

}  // namespace tidemill::fixed
