"""What a person is told: one file a rule, each from a message and what was told before to alerts.

=====================  ========  =====================================================================
condition              severity  told
=====================  ========  =====================================================================
state rises to high    critical  at the change; key ``regime:MARKET``
state rises            warning   at the change
state falls            info      at the change
rebalance with trades  warning   at each; key ``rebalance:PORTFOLIO``
rebalance of weights   info      at each
adds blocked           warning   when the reasons change, and when they end; key ``blocked:PORTFOLIO``
input degraded         warning   when it begins and when it ends; key ``degraded:MARKET:INPUT``
regime held            critical  when VIX goes missing and when it is back; key ``degraded:MARKET:vix``
dead letter            warning   the first of a topic and reason; key ``dead:TOPIC:REASON``
dead letters burst     critical  once when ten come within five minutes of event time
=====================  ========  =====================================================================
"""
