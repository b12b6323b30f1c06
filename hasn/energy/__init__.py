"""Energy with sources: a run's counts priced by profiles, each constant with its source and grade (docs/energy.md)."""

from hasn.energy import biology
from hasn.energy.bench import neurobench
from hasn.energy.bench_package import benchmark_model
from hasn.energy.breakeven import BreakEven, break_even
from hasn.energy.budget import Budget, Decision
from hasn.energy.comparing import PROFILES_COMPARED, EnergyTable, compare_profiles
from hasn.energy.estimating import estimate
from hasn.energy.meter import Meter
from hasn.energy.penalty import EnergyCost
from hasn.energy.profile import Constant, Profile, profile, profiles
from hasn.energy.report import EnergyReport, Price

__all__ = [
    "PROFILES_COMPARED",
    "BreakEven",
    "Budget",
    "Constant",
    "Decision",
    "EnergyCost",
    "EnergyReport",
    "EnergyTable",
    "Meter",
    "Price",
    "Profile",
    "benchmark_model",
    "biology",
    "break_even",
    "compare_profiles",
    "estimate",
    "neurobench",
    "profile",
    "profiles",
]
