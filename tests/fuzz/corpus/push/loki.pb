1
>
{job="t", pod="t-0"}$
‹þˆØ[rank2]: boom	
rank2