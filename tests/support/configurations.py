"""Configurations as MXNet's SSD example has them."""

from __future__ import annotations

import ssdreg

RESNET50 = ssdreg.plan("resnet50")

INCEPTION = ssdreg.plan("inceptionv3", tap_strides=(16, 32), data_shape=512)

VGG300, VGG512 = ssdreg.plan("vgg16_reduced", data_shape=300), ssdreg.plan("vgg16_reduced",
                                                                           data_shape=512)


def fields(plan, indent):
    """Write a plan's fields as a configuration does; ResNet's copies were made like this."""
    lines = [f"{name} = {[list(entry) if isinstance(entry, tuple) else entry for entry in value]}"
             for name, value in (("from_layers", plan.from_layers),
                                 ("num_filters", plan.num_filters), ("strides", plan.strides),
                                 ("pads", plan.pads), ("sizes", plan.sizes),
                                 ("ratios", plan.ratios),
                                 ("normalizations", plan.normalizations))]
    return "\n".join(" " * indent + line for line in lines)


#: The configuration with the historic mistake, in its shape: ResNet-101 with ResNet-50's layers.
FACTORY = f'''
import logging
from no_such_package import symbol_builder

open("executed", "w").close()

def get_config(network, data_shape, **kwargs):
    """Configure a network."""
    if network == 'vgg16_reduced':
        if data_shape >= 448:
{fields(VGG512, 12)}
            steps = [] if data_shape != 512 else [x / 512.0 for x in [8, 16, 32]]
        else:
{fields(VGG300, 12)}
        if not (data_shape == 300 or data_shape == 512):
            logging.warn('data_shape %d was not tested' % data_shape)
        return locals()
    elif network == 'inceptionv3':
{fields(INCEPTION, 8)}
        return locals()
    elif network == 'resnet50':
        num_layers = 50
        network = 'resnet'
{fields(RESNET50, 8)}
        normalizations = -1
        return locals()
    elif network in ('resnet101', 'resnet152'):
        num_layers = 101
        network = 'resnet'
{fields(RESNET50, 8)}
        normalizations = -1
        return locals()
    elif network == 'someones_own':
        from_layers = ['here', 'there', '']
        return locals()
    elif network == 'in_a_loop':
        from_layers = ['level{{}}'.format(i) for i in range(6)]
        return locals()
    elif network == 'resnet18':
        assert data_shape == 384
        from_layers = {list(ssdreg.plan("resnet18").from_layers)}
        sizes = scales(0.2, 0.9)
        return dict(from_layers=from_layers, sizes=sizes)
    else:
        raise NotImplementedError('No configuration found for %s' % network)

def get_symbol(network, data_shape, **kwargs):
    return symbol_builder.get_symbol(**get_config(network, data_shape, **kwargs))
'''
